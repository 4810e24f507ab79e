/** Peers that make the namespace and publish its ports themselves. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApiClient } from '../../../src/parent/api/client.js';
import type { CommandLine } from '../command.js';
import { processTree } from '../processes.js';
import { freePorts, launchServers, waitForEcho } from './launch.js';
import { CHILD_PORTS, type Ports, type RunningPeer, type Turn } from './peer.js';

/** Makes the tap device's network; no forwarded byte passes through it. */
const NETWORK_DRIVER = 'slirp4netns';
/** Seldom enough to leave the processors, which are what is waited for, to those that start. */
const API_POLL_MS = 10;

export interface Publisher {
  /** Gets one `-p SPEC` for each server, then `separator`, then the servers' command. */
  readonly wrapper: CommandLine;
  readonly separator?: readonly string[];
  /** That it serves the API in. */
  readonly stateDir: string;
  /** As /v1/info names it. */
  readonly portDriver: string;
  /** Where the servers listen; a loopback address where it isn't given. */
  readonly address?: string;
  /** Names of processes in its tree that carry no forwarded byte. */
  readonly ignored?: readonly string[];
  /** Resolves once it has all its processes, where that is later than its first answer. */
  readonly settled?: (apiSocket: string, signal: AbortSignal) => Promise<void>;
}

export async function startPublisher(publisher: Publisher, turn: Turn): Promise<RunningPeer> {
  const { wrapper, separator = [], stateDir, portDriver } = publisher;
  const ports = await freePorts();
  const apiSocket = `${stateDir}/api.sock`;
  const launch = new AbortController();
  const ready = apiReady(apiSocket, portDriver, launch.signal);
  let launched;
  try {
    const command: CommandLine = [...wrapper, ...publishOptions(ports), ...separator];
    launched = await launchServers(command, turn, publisher.address);
  } finally {
    launch.abort();
  }
  const { pid, serversPid, stop } = launched;
  try {
    await waitForEcho(ports.echo, turn);
    await publisher.settled?.(apiSocket, turn.signal);
  } catch (error) {
    await stop();
    throw error;
  }
  const ignored = publisher.ignored ?? [NETWORK_DRIVER];
  const forwarders = (): number[] => processTree([pid], [serversPid], ignored);
  const readyMs = await ready;
  return {
    ports,
    enter: [],
    apiSocket,
    ...(readyMs !== undefined && { readyMs }),
    forwarders,
    stop,
  };
}

function publishOptions(ports: Ports): string[] {
  return (['iperf', 'http', 'echo', 'udp'] as const).flatMap((server) => [
    '-p',
    `127.0.0.1:${ports[server]}:${CHILD_PORTS[server]}/${server === 'udp' ? 'udp' : 'tcp'}`,
  ]);
}

/**
 * In how many milliseconds the API tells of the port driver: before the child's command starts.
 * `undefined` where it doesn't before `signal`.
 */
async function apiReady(
  socket: string,
  portDriver: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const startedAt = performance.now();
  const api = createApiClient(socket);
  while (!signal.aborted) {
    const info = existsSync(socket) ? await api.info().catch(() => undefined) : undefined;
    if (info?.portDriver?.driver === portDriver) return performance.now() - startedAt;
    await sleep(API_POLL_MS);
  }
  return undefined;
}
