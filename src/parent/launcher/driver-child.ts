/** A driver's process as its launcher sees it: see driver-process.ts for what is said when. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../msg/errors.js';
import type { Fd } from '../../msg/fd.js';
import type { AgentPlace } from '../agent-place.js';
import { nodeEnvironment } from '../node-env.js';
import { programPath } from '../package-folder.js';
import type { ServeOptions } from '../serve.js';
import { DRIVER_FDS } from './driver-fds.js';
import type { HeldPorts, Inherited } from './held-ports.js';

const DRIVER_MAIN = programPath('parent/launcher/driver-main.js');
/** What it wrote last is there by then, unless somebody else has its end of the stream. */
const LAST_LINES_MS = 1000;

/** What a driver is told to do. */
export interface Orders extends ServeOptions {
  /** The fd of the link; without one the driver is of a launcher that ends it by SIGTERM. */
  readonly link?: number;
  /** What an earlier driver has left. */
  readonly inherited?: Inherited;
}

/** A line from the driver. */
export type DriverNews =
  | { readonly ready: true }
  /** It can't serve. */
  | { readonly code: string; readonly message: string }
  /** There is something on the link. */
  | { readonly told: true }
  /** It ends because it was asked to, or with its namespaces. */
  | { readonly done: true }
  /** It ends because of an error that nothing caught. */
  | { readonly fault: string };

export type DriverAnswer = Extract<DriverNews, { ready: true } | { code: string }>;

export interface DriverEnd {
  /** For people. */
  readonly how: string;
  readonly wasDone: boolean;
}

export class DriverChild {
  /** Resolves once it serves or can't; pending for ever if it ends before. */
  readonly answer: Promise<DriverAnswer>;
  readonly ended: Promise<DriverEnd>;
  /** Undefined when it could not be started. */
  readonly #child: ChildProcess | undefined;
  readonly #held: HeldPorts;
  readonly #inherited: Inherited;
  #onAnswer: (answer: DriverAnswer) => void = () => {};
  #wasDone = false;
  #fault: string | undefined;

  /** It inherits the API's socket and all that is held. */
  constructor(api: Fd, held: HeldPorts) {
    const { fds, inherited } = held.inheritance();
    this.#held = held;
    this.#inherited = inherited;
    this.answer = new Promise((resolve) => (this.#onAnswer = resolve));
    try {
      // A session of its own: signals of the terminal are for the container engine.
      const child = spawn(process.execPath, [DRIVER_MAIN], {
        stdio: ['ignore', 'ignore', 'inherit', 'pipe', api.number, held.link.number, ...fds],
        detached: true,
        env: nodeEnvironment(),
      });
      this.ended = this.#endOf(child);
      this.#child = child.pid === undefined ? undefined : child;
      if (this.#child !== undefined) this.#listenTo(channelOf(child));
    } catch (error) {
      // Some errnos are thrown, the others emitted.
      this.ended = Promise.resolve({ how: notBegun(error), wasDone: false });
      this.#child = undefined;
    }
  }

  tellPlace(place: AgentPlace | null): void {
    if (this.#child !== undefined) channelOf(this.#child).write(`${JSON.stringify(place)}\n`);
  }

  tell(options: ServeOptions, isFirst: boolean): void {
    if (this.#child === undefined) return;
    const orders: Orders = {
      ...options,
      heldApi: DRIVER_FDS.api,
      link: DRIVER_FDS.link,
      ...(!isFirst && { inherited: this.#inherited }),
    };
    channelOf(this.#child).end(JSON.stringify(orders));
  }

  /** One that was not told what to serve ends. */
  hangUp(): void {
    if (this.#child !== undefined) channelOf(this.#child).destroy();
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  #listenTo(channel: Socket): void {
    // One that has ended meanwhile does not answer either.
    channel.on('error', () => {});
    createInterface({ input: channel }).on('line', (line) => this.#onLine(line));
  }

  #onLine(line: string): void {
    const news = parse(line);
    if (news === undefined) return;
    if ('told' in news) this.#held.take();
    else if ('done' in news) this.#wasDone = true;
    else if ('fault' in news) this.#fault = news.fault;
    else if ('ready' in news || 'code' in news) this.#onAnswer(news);
  }

  async #endOf(child: ChildProcess): Promise<DriverEnd> {
    const failure = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(notBegun(error)));
    });
    const exit = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve(signal === null ? `with exit code ${code}` : `by ${signal}`);
      });
    });
    const how = await Promise.race([failure, exit]);
    if (child.pid !== undefined) await lastLines(channelOf(child));
    this.#held.take();
    const fault = this.#fault === undefined ? '' : ` (${this.#fault})`;
    return { how: how + fault, wasDone: this.#wasDone && child.exitCode === 0 };
  }
}

async function lastLines(channel: Socket): Promise<void> {
  if (channel.closed) return;
  const over = new AbortController();
  const { signal } = over;
  const late = sleep(LAST_LINES_MS, undefined, { signal }).catch(() => {});
  await Promise.race([once(channel, 'close', { signal }).catch(() => {}), late]);
  over.abort();
}

function channelOf(child: ChildProcess): Socket {
  return child.stdio[DRIVER_FDS.launcher] as Socket;
}

/** Undefined for a line that is none of a driver's. */
function parse(line: string): DriverNews | undefined {
  try {
    const news: unknown = JSON.parse(line);
    return typeof news === 'object' && news !== null ? (news as DriverNews) : undefined;
  } catch {
    return undefined;
  }
}

function notBegun(error: unknown): string {
  return `before it began (${messageOf(error)})`;
}
