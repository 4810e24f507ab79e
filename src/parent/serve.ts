/**
 * A running driver with everything around it: the agent, the ports asked for at the start, and the
 * REST API. Launchers differ in how they come by the namespaces; from here on they are alike.
 */

import type { ChildContext, Manager, Spec, Status } from '../msg/port.js';
import type { Info } from './api/info.js';
import { ownInfo, withPortDriver } from './api/own-info.js';
import { ask, foreign } from './api/request.js';
import { createApi, createSocketServer } from './api/server.js';
import { Driver, type DriverOptions } from './driver.js';
import type { EarlyStart } from './early-start.js';
import { problem } from './events/event.js';
import type { LogOptions } from './log/options.js';
import { metricsAnswer, metricsOnly } from './metrics/answer.js';
import type { TcpAddress } from './metrics/listen.js';
import { openOutlets } from './outlets.js';
import type { LeftPort } from './ports.js';

export interface ServeOptions {
  readonly child: ChildContext;
  /** As reported in `/v1/info`. */
  readonly stateDir: string;
  /** Where our REST API listens. */
  readonly apiSocket: string;
  /** The fd of a socket that listens there already, held by whoever starts this process again. */
  readonly heldApi?: number;
  /** rootlesskit's own API socket, moved out of the way: its `/v1/info` is the base of ours. */
  readonly upstreamApi?: string;
  /** Opened before `serve` resolves. */
  readonly publish: readonly Spec[];
  /** Ports to take over, with the ids that they must keep. */
  readonly adopt?: readonly Status[];
  readonly driver?: DriverOptions;
  /** Default: warnings on stderr. */
  readonly log?: LogOptions;
  /** Where `/metrics` is served beside the API's socket. */
  readonly metricsListen?: TcpAddress | undefined;
}

/** Replaces this process by the installed version, which goes on with what this one leaves. */
export interface Successor {
  /** Rejects when there can be none. */
  check(): Promise<void>;
  become(drainLimitMs: number, ports: readonly LeftPort[]): never;
}

export interface Serving extends AsyncDisposable {
  readonly manager: Manager;
  /** Resolves after `close`, rejects if the driver can't go on. */
  readonly ended: Promise<void>;
  /** Closes every port and ends the agent and the API. */
  close(): Promise<void>;
}

/**
 * Resolves once all ports are open and the API answers; rejects and leaves nothing new behind. What
 * it has not taken of `early` stays the caller's.
 */
export async function serve(
  options: ServeOptions,
  successor?: Successor,
  early?: EarlyStart,
): Promise<Serving> {
  const snapshot = () => driver.snapshot();
  const { bus, onEvent, close: closeOutlets } = openOutlets(options, snapshot);
  const driver: Driver = new Driver({
    stateDir: options.stateDir,
    ...options.driver,
    early,
    onEvent,
  });
  const quit = new AbortController();
  let ended: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    ended = driver.runParentDriver(resolve, quit.signal, options.child);
    ended.catch(reject);
  });
  const reload = async (drainLimitMs: number) => {
    driver.checkLeaving();
    await successor?.check();
    // What is being answered is finished first.
    const begin = () =>
      void Promise.all([api.leave(), metrics.close(), closeOutlets()]).then(() => {
        successor?.become(drainLimitMs, driver.leave());
      });
    return { begin };
  };
  const api = createApi({
    manager: driver,
    info: () => info(driver, options),
    metrics: () => metricsAnswer(snapshot),
    flows: (id, most) => driver.flows(id, most),
    openTopic: (topic) => bus.open(topic),
    ...(successor !== undefined && { reload }),
  });
  const metrics = createSocketServer(metricsOnly(snapshot));
  const listen = async (address: TcpAddress) => {
    try {
      await metrics.listenOn(address);
    } catch (error) {
      // A driver that has ports of an earlier one does not end for that.
      if (!driver.hasResumed) throw error;
      onEvent(problem(error));
    }
  };
  const close = async () => {
    try {
      await Promise.all([api.close(), metrics.close()]);
    } finally {
      quit.abort();
      await ended;
      await closeOutlets();
    }
  };
  try {
    for (const status of options.adopt ?? []) await driver.adoptPort(status);
    // A driver that went on where another one ended has them, unless they were removed.
    if (!driver.hasResumed) for (const spec of options.publish) await driver.addPort(spec);
    if (options.metricsListen !== undefined) await listen(options.metricsListen);
    await api.listen(options.apiSocket, options.heldApi);
  } catch (error) {
    // What goes on from an earlier driver is not this one's to end.
    if (driver.hasResumed) driver.leave();
    await close();
    throw error;
  }
  return { manager: driver, ended, close, [Symbol.asyncDispose]: close };
}

async function info(driver: Driver, { child, stateDir, upstreamApi }: ServeOptions): Promise<Info> {
  const base = upstreamApi === undefined ? ownInfo(stateDir, child.pid) : await infoOf(upstreamApi);
  return withPortDriver(base, await driver.info());
}

/** rootlesskit's answer is passed on as it is: no schema is made at every start for this alone. */
async function infoOf(socketPath: string): Promise<Info> {
  const answer = await ask({ socketPath, method: 'GET', path: '/v1/info' });
  if (!isInfo(answer.body)) throw foreign(answer);
  return answer.body;
}

function isInfo(body: unknown): body is Info {
  return typeof body === 'object' && body !== null && 'childPID' in body;
}
