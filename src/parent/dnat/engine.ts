/**
 * The processes of Docker in the child's namespaces, as far as they have to do with a port.
 *
 * dockerd binds a port's childIP and adds the port. Then it listens, starts docker-proxy with the
 * same socket, closes its own, and writes the DNAT rule last. Without docker-proxy it keeps the
 * socket. So one of the two has the socket from before the first packet until the port is removed.
 *
 * A process counts only in the child's user and mount namespace, which no container has: a container
 * with the host's network can't send a port's flows elsewhere by a name and arguments of its choice.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync, statSync } from 'node:fs';
import type { ChildContext } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import { netnsFile } from '../nsenter.js';
import { allPids } from '../proc.js';
import { containerOf, type DockerProxy, isDockerProxy, parseDockerProxy } from './docker-proxy.js';
import { Latest } from './latest.js';
import { type ReservedSocket, reservedSockets } from './reserved.js';
import type { DnatQuery } from './rule.js';

const DOCKERD = /(?:^|\/)dockerd$/;

/** docker-proxy starts some 50 ms after the port was added. */
const PAUSE_MS = 15;
/** The share of a core that looking at processes takes at most, however many there are. */
const MOST_LOAD = 0.1;

/** The owner of a port's socket: a proxy for the container, or dockerd, whose rule or proxy is to come. */
export type Holder =
  | { readonly container: Address }
  | { readonly container?: undefined; readonly isListening: boolean };

/** The processes at one moment. dockerd's sockets are read when somebody asks for them, and once. */
interface Look {
  readonly proxies: readonly DockerProxy[];
  readonly dockerds: readonly number[];
  reserved?: readonly ReservedSocket[];
}

export class Engine {
  readonly #child: ChildContext;
  readonly #looks = new Latest(() => Promise.resolve(this.#look()));
  #lookMs = 0;
  #pausing: Promise<void> | undefined;

  constructor(child: ChildContext) {
    this.#child = child;
  }

  /** Undefined where somebody else has the socket, or nobody. Never rejects. */
  async holderOf(query: DnatQuery): Promise<Holder | undefined> {
    const look = await this.#looks.get();
    const container = containerOf(look.proxies, query);
    if (container !== undefined) return { container };
    if (look.dockerds.length === 0) return undefined;
    look.reserved ??= look.dockerds.flatMap(reservedSockets);
    const socket = look.reserved.find((one) => isFor(one, query));
    if (socket !== undefined) return { isListening: socket.isListening || query.proto !== 'tcp' };
    // dockerd may have passed the socket on to a proxy since the look.
    const later = containerOf((await this.#looks.get()).proxies, query);
    return later && { container: later };
  }

  /** The same after a pause. All who wait at the same time share the pause and the look. */
  async nextHolderOf(query: DnatQuery): Promise<Holder | undefined> {
    const pauseMs = Math.max(PAUSE_MS, this.#lookMs / MOST_LOAD);
    this.#pausing ??= sleep(pauseMs).then(() => (this.#pausing = undefined));
    await this.#pausing;
    return this.holderOf(query);
  }

  /** Synchronous: on threads of libuv's pool the same files take ten times the processor time. */
  #look(): Look {
    const start = performance.now();
    const { pid: child } = this.#child;
    const [userns, mntns] = [inodeOf(`/proc/${child}/ns/user`), inodeOf(`/proc/${child}/ns/mnt`)];
    const netns = inodeOf(netnsFile(this.#child));
    const isInside = (pid: number) =>
      inodeOf(`/proc/${pid}/ns/user`) === userns && inodeOf(`/proc/${pid}/ns/mnt`) === mntns;
    const proxies: DockerProxy[] = [];
    const dockerds: number[] = [];
    for (const pid of userns === undefined ? [] : allPids()) {
      const [program = '', ...args] = argumentsOf(pid);
      if (DOCKERD.test(program) && isInside(pid)) dockerds.push(pid);
      if (!isDockerProxy(program) || !isInside(pid)) continue;
      const proxy = parseDockerProxy(program, args);
      if (proxy !== undefined && inodeOf(`/proc/${pid}/ns/net`) === netns) proxies.push(proxy);
    }
    this.#lookMs = performance.now() - start;
    return { proxies, dockerds };
  }
}

function isFor(socket: ReservedSocket, { proto, ip, port }: DnatQuery): boolean {
  return socket.proto === proto && socket.ip === ip && socket.port === port;
}

/** Empty for a process that has ended, and for a thread of the kernel's. */
function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino;
  } catch {
    // Another user's process.
    return undefined;
  }
}
