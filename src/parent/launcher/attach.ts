/**
 * Takes the place of the port driver of a rootlesskit that runs already.
 *
 * rootlesskit's API socket is moved aside, its ports are taken from it one by one and opened here
 * under the same ids; in the end everything goes back. What fails on the way is undone.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { resolve as absolute } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import type { Spec } from '../../msg/port.js';
import { type ApiClient, createApiClient } from '../api/client.js';
import type { Info } from '../api/info.js';
import type { DriverOptions } from '../driver.js';
import { problem } from '../events/event.js';
import { Log } from '../log/log.js';
import type { LogOptions } from '../log/options.js';
import type { TcpAddress } from '../metrics/listen.js';
import { serve } from '../serve.js';
import { lockStateDir } from '../state-lock.js';
import { becomeInstalled, checkInstalled, takeReload } from './reload.js';
import { stopSignal } from './signals.js';
import {
  apiSocketOf,
  assertOwn,
  childContextOf,
  movedApiSocketOf,
  readChildPid,
} from './state-dir.js';

/** These have no port table: there is nothing to take, and nothing to give back. */
const WITHOUT_PORTS: readonly (string | undefined)[] = [undefined, 'none', 'implicit'];

export interface AttachOptions {
  readonly stateDir: string;
  readonly driver?: DriverOptions;
  readonly log: LogOptions;
  readonly metricsListen?: TcpAddress | undefined;
}

/** Resolves with the exit code when the namespaces have ended, or after a signal. */
export async function attach(options: AttachOptions): Promise<number> {
  const log = new Log(options.log);
  const stateDir = absolute(options.stateDir);
  assertOwn(stateDir);
  readChildPid(stateDir);
  using _ = lockStateDir(stateDir, (event) => log.event(event));
  using stop = stopSignal();
  const info = await reachRootlesskit(stateDir);
  const hasPorts = !WITHOUT_PORTS.includes(info.portDriver?.driver);
  const api = apiSocketOf(stateDir);
  const upstreamApi = movedApiSocketOf(stateDir);
  using life = await watchLife(api);

  const ports = hasPorts ? await createApiClient(api).listPorts() : [];
  await rename(api, upstreamApi);
  const upstream = createApiClient(upstreamApi);
  let specs = ports.map(({ spec }) => spec);
  try {
    for (const { id } of ports) await upstream.removePort(id);
    const child = childContextOf(stateDir);
    const serving = await serve(
      {
        child,
        stateDir,
        apiSocket: api,
        upstreamApi,
        publish: [],
        adopt: ports,
        driver: { ...options.driver, ...takeReload() },
        log: options.log,
        metricsListen: options.metricsListen,
      },
      { check: checkInstalled, become: (limitMs) => becomeInstalled(limitMs) },
    );
    // A driver that can't go on rejects close() as well: not before its ports are known.
    await Promise.race([life.end, stop.signalled, serving.ended.catch(() => {})]);
    specs = (await serving.manager.listPorts()).map(({ spec }) => spec);
    await serving.close();
  } finally {
    if (life.over) {
      await rm(upstreamApi, { force: true });
    } else {
      await rename(upstreamApi, api);
      if (hasPorts) await giveBack(createApiClient(api), specs, log);
    }
  }
  return 0;
}

/** @throws SluiceError ERR_STATE_DIR_DEAD, or ERR_ATTACHED when a sluice serves there already */
async function reachRootlesskit(stateDir: string): Promise<Info> {
  const api = apiSocketOf(stateDir);
  const moved = movedApiSocketOf(stateDir);
  const info = await infoOf(api);
  if (info?.portDriver?.driver === 'sluice') {
    throw new SluiceError(
      'ERR_ATTACHED',
      `a sluice serves ${stateDir} already; end that one first if you want another`,
    );
  }
  if (info !== undefined) {
    return info;
  }
  // A sluice that was killed could not put the socket back.
  const left = existsSync(moved) ? await infoOf(moved) : undefined;
  if (left === undefined) {
    throw new SluiceError(
      'ERR_STATE_DIR_DEAD',
      `${stateDir} is what a dead rootlesskit left: nobody answers on ${api}; start rootlesskit again, or give the state directory of a running one`,
    );
  }
  await rename(moved, api);
  return left;
}

async function infoOf(socket: string): Promise<Info | undefined> {
  try {
    return await createApiClient(socket).info();
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'ERR_API_UNREACHABLE') return undefined;
    throw error;
  }
}

function key(spec: Spec): string {
  return `${spec.proto} ${spec.parentIP ?? ''} ${spec.parentPort}`;
}

/** rootlesskit numbers them anew. A port that can't go back must not keep the others from it. */
async function giveBack(upstream: ApiClient, specs: readonly Spec[], log: Log): Promise<void> {
  const there = new Set((await upstream.listPorts()).map(({ spec }) => key(spec)));
  for (const spec of specs.filter((wanted) => !there.has(key(wanted)))) {
    try {
      await upstream.addPort(spec);
    } catch (error) {
      log.event(problem(error, `rootlesskit did not take port ${key(spec)} back: `));
    }
  }
}

interface Life extends Disposable {
  readonly end: Promise<void>;
  readonly over: boolean;
}

/** A connection that rootlesskit never hears from and never closes: its end is rootlesskit's. */
async function watchLife(socketPath: string): Promise<Life> {
  const socket: Socket = connect(socketPath);
  await once(socket, 'connect');
  const end = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
    socket.on('error', () => {});
    socket.resume();
  });
  return {
    end,
    get over() {
      return socket.destroyed || socket.readableEnded;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}
