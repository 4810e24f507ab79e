/**
 * Opens the ports of a group of requests: one host port on all of their addresses.
 *
 * A host port counts as free once the port driver listens on it. Where one address is taken, what
 * was opened for the others is closed, and the next port is tried. Host addresses may share a
 * ChildHostIP, and then a port number of theirs has one NAT rule: a port of another call that ends
 * there is in the way, too. (dockerd learns of it by binding that address in the child namespace.)
 */

import { messageOf, SluiceError } from '../../msg/errors.js';
import type { Manager, Spec, Status } from '../../msg/port.js';
import { formatPortSpec } from '../../msg/spec.js';
import { dialAddresses } from '../dial.js';
import { unmapped } from './compare.js';
import { isRange } from './contract.js';
import { type Group, isServed, type Member, type ServedMember } from './groups.js';
import { candidates, isTaken } from './host-ports.js';

export interface Opened {
  /** Undefined where no member of the group can be served. */
  readonly port: number | undefined;
  /** Of those that can. */
  readonly statuses: ReadonlyMap<Member, Status>;
}

export class PortOpener {
  readonly #manager: Manager;
  /** Ends in the child namespace whose ports are being opened, and are not listed yet. */
  readonly #claims = new Set<string>();

  constructor(manager: Manager) {
    this.#manager = manager;
  }

  /** Rejects and leaves nothing open when there is no such port, or `signal` is aborted. */
  async open(group: Group, signal: AbortSignal | undefined): Promise<Opened> {
    const members = group.filter(isServed);
    const [{ req }] = group;
    if (members.length === 0) return { port: undefined, statuses: new Map() };
    let taken: unknown;
    for (const port of candidates(req)) {
      throwIfAborted(signal);
      try {
        return { port, statuses: await this.#openAt(members, port) };
      } catch (error) {
        if (!isRange(req) || !isTaken(error)) throw error;
        taken = error;
      }
    }
    const { hostPort, hostPortEnd } = req;
    const range = hostPort === 0 ? 'an ephemeral port' : `one of ${hostPort}-${hostPortEnd}`;
    const addresses = members.map((member) => member.req.hostIP || '*').join(' and ');
    throw new SluiceError(
      'ERR_NO_FREE_PORT',
      `found no host port that is free on ${addresses}, asked for ${range}; the last one tried: ${messageOf(taken)}`,
      { cause: taken },
    );
  }

  /** Closes ports, last first. Resolves with `error`, and in it what could not be closed. */
  async undo(opened: readonly Status[], error: unknown): Promise<unknown> {
    const failures: string[] = [];
    for (const { id } of opened.toReversed()) {
      await this.#manager.removePort(id).catch((failure: unknown) => {
        failures.push(`port ${id} stays open: ${messageOf(failure)}`);
      });
    }
    if (failures.length === 0) return error;
    const text = [messageOf(error), ...failures].join('; ');
    return new SluiceError('ERR_UNDO', text, { cause: error });
  }

  async #openAt(members: readonly ServedMember[], port: number): Promise<Map<Member, Status>> {
    const statuses = new Map<Member, Status>();
    // Claimed before the list is read: of two calls, one sees the other's claim or its port.
    const claims = this.#claim(members, port);
    try {
      await this.#assertUnclaimed(members, port);
      for (const member of members) statuses.set(member, await this.#add(specOf(member, port)));
      return statuses;
    } catch (error) {
      throw await this.undo([...statuses.values()], error);
    } finally {
      for (const claim of claims) this.#claims.delete(claim);
    }
  }

  #claim(members: readonly ServedMember[], port: number): ReadonlySet<string> {
    const claims = new Set(members.map(({ req, child }) => `${req.proto} ${child.ip} ${port}`));
    if ([...claims].some((claim) => this.#claims.has(claim))) {
      throw childConflict('a port that is being opened', members, port);
    }
    for (const claim of claims) this.#claims.add(claim);
    return claims;
  }

  async #assertUnclaimed(members: readonly ServedMember[], port: number): Promise<void> {
    for (const { id, spec } of await this.#manager.listPorts()) {
      const ends = dialAddresses(spec).filter((end) => end.port === port);
      const isInTheWay = members.some(
        ({ child }) =>
          transportOf(child) === transportOf(spec) && ends.some(({ ip }) => ip === child.ip),
      );
      if (isInTheWay) throw childConflict(`ID ${id}`, members, port);
    }
  }

  async #add(spec: Spec): Promise<Status> {
    try {
      return await this.#manager.addPort(spec);
    } catch (error) {
      const code = error instanceof SluiceError ? error.code : 'ERR_MAP';
      const explained = new SluiceError(
        code,
        `cannot map ${formatPortSpec(spec)}: ${messageOf(error)}`,
        { cause: error },
      );
      throw isUnanswered(code) ? await this.#undoUnanswered(spec, explained) : explained;
    }
  }

  async #undoUnanswered(spec: Spec, error: SluiceError): Promise<unknown> {
    const ports = await this.#manager.listPorts().catch(() => []);
    const text = formatPortSpec(spec);
    return this.undo(
      ports.filter((port) => formatPortSpec(port.spec) === text),
      error,
    );
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new SluiceError('ERR_ABORTED', 'the caller gave up waiting; nothing was mapped');
}

/** As dockerd writes it: in the child namespace the engine's own rules lead on from that port. */
function specOf({ req: { hostIP = '' }, child }: ServedMember, port: number): Spec {
  return {
    proto: child.proto,
    ...(hostIP !== '' && { parentIP: unmapped(hostIP) }),
    parentPort: port,
    childPort: port,
    childIP: child.ip,
  };
}

/** The API's client has these codes where nobody knows what became of the request. */
function isUnanswered(code: string): boolean {
  return code.startsWith('ERR_API_');
}

function childConflict(holder: string, members: readonly ServedMember[], port: number) {
  const ips = [...new Set(members.map(({ child }) => child.ip))].join(' and ');
  return new SluiceError(
    'ERR_CONFLICT',
    `conflict with ${holder}: port ${port} of ${ips} in the child namespace is in use; choose another host port`,
  );
}

function transportOf({ proto }: Pick<Spec, 'proto'>): string {
  return proto.replace(/[46]$/, '');
}
