/**
 * A probe as seen from the host, and from inside: where the port leads to, what answers there, and
 * the reason where nobody does.
 */
import { statSync } from 'node:fs';
import { type Spec, type Status, type ChildContext, transportOf } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import type { ApiClient } from '../api/client.js';
import { dialAddresses } from '../dial.js';
import { DnatResolver } from '../dnat/resolver.js';
import { childContextOf } from '../launcher/state-dir.js';
import { findTargets } from '../resolve.js';
import { type Answer, probeInside } from './inside.js';
import type { Owner } from './owner.js';
import { probe } from './probe.js';
import { isOfThisHost, portAt, portsLike } from './published.js';
import { type Reason, reasonFor, reasonWithoutPort } from './reason.js';
import { arrives, isGood, type Finding, type ProbeOptions, type ProbeResult } from './result.js';
import type { Endpoint } from './target.js';

/** Who names the address: a DNAT rule of the engine's, docker-proxy's arguments, or the port itself. */
export type Origin = 'rule' | 'docker-proxy' | 'port';

export interface Dialled extends Endpoint, Finding {
  readonly origin: Origin;
  readonly owner: Owner;
  /** The same, tried in the container itself, where it didn't work out from outside of it. */
  readonly within?: Finding;
}

export interface View extends ProbeResult {
  /** Absent for an address that no port is published on. */
  readonly published?: Status;
  /** What the driver dials, in this order, and what answers there. */
  readonly inside?: readonly Dialled[];
  readonly reason?: Reason;
}

/** A running driver, as far as a probe needs it. */
export interface Driver {
  readonly ports: readonly Status[];
  readonly child: ChildContext;
}

/** Undefined where this process is inside itself: what it asks is no address of the host. */
export async function readDriver(api: ApiClient): Promise<Driver | undefined> {
  const [info, ports] = await Promise.all([api.info(), api.listPorts()]);
  const { stateDir, childPID } = info;
  if (userNamespace(childPID) === userNamespace('self')) return undefined;
  return { ports, child: childContextOf(stateDir, childPID) };
}

/** @throws SluiceError as `probe`; what keeps it from looking inside goes to `onFailure` instead */
export async function viewOf(
  endpoint: Endpoint,
  options: ProbeOptions,
  driver: Driver | undefined,
  onFailure: (error: unknown) => void,
): Promise<View> {
  if (driver === undefined || !isOfThisHost(endpoint)) return probe(endpoint, options);
  const { ports, child } = driver;
  const published = portAt(ports, endpoint);
  if (published === undefined) {
    const host = await probe(endpoint, options);
    if (isGood(host)) return host;
    return { ...host, reason: reasonWithoutPort(endpoint, portsLike(ports, endpoint)) };
  }
  const [host, inside] = await Promise.all([
    probe(endpoint, options),
    dial(published.spec, child, options).catch((error: unknown) => {
      onFailure(error);
      return undefined;
    }),
  ]);
  if (inside === undefined) return { ...host, published };
  const reason = reasonFor(host, inside, child);
  return { ...host, published, inside, ...(reason !== undefined && { reason }) };
}

async function dial(spec: Spec, child: ChildContext, options: ProbeOptions): Promise<Dialled[]> {
  const ways = await waysOf(spec, child);
  const transport = transportOf(spec.proto);
  const endpoints = ways.map(({ ip, port }) => ({ ip, port, transport }));
  const answers = await probeInside(child, endpoints, options);
  return Promise.all(
    ways.map(async ({ origin, ...address }, index) => {
      const { finding, owner } = answers[index] as Answer;
      const dialled = { ...address, transport, ...finding, origin, owner };
      // Where somebody listens and isn't reached, something may be in the way.
      if (owner.pid === undefined || owner.bound.length === 0 || arrives(finding)) return dialled;
      const container = { pid: child.pid, netnsPath: `/proc/${owner.pid}/ns/net` };
      const within = await probeInside(container, endpoints.slice(index, index + 1), options);
      return { ...dialled, within: (within[0] as Answer).finding };
    }),
  );
}

interface Way extends Address {
  readonly origin: Origin;
}

/** The agent's way: to the targets, and to the port's own addresses unless the engine holds those. */
async function waysOf(spec: Spec, child: ChildContext): Promise<Way[]> {
  const { targets, isHeld } = await findTargets(spec, new DnatResolver(child));
  if (isHeld) return [...targets];
  return [...targets, ...dialAddresses(spec).map((own) => ({ ...own, origin: 'port' }) as const)];
}

/** Undefined for a process that is gone. */
function userNamespace(pid: number | 'self'): number | undefined {
  return statSync(`/proc/${pid}/ns/user`, { throwIfNoEntry: false })?.ino;
}
