/**
 * The driver in a process of its own, next to the launcher that waits for the namespaces: one that
 * is killed is started again and goes on with the agents and ports that it finds.
 *
 * The first one is started while the namespaces are being made. On fd 3 the process is told, in a
 * line of JSON, where to start an agent before all else, or null; then what to serve, a ServeOptions
 * as JSON up to the end of the stream. It answers with a line of JSON once it serves or can't. Hung
 * up on before that it ends. SIGTERM ends it with all its ports; it ends by itself with its
 * namespaces, and goes on without its launcher. Fd 4 is the socket of the API, which the launcher
 * holds as well, so that callers can wait meanwhile.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { messageOf, SluiceError } from '../../msg/errors.js';
import type { Fd } from '../../msg/fd.js';
import { holdSocket, unboundSocket } from '../api/socket.js';
import type { AgentPlace } from '../agent-place.js';
import { nodeEnvironment } from '../node-env.js';
import { programPath } from '../package-folder.js';
import { pause } from '../pause.js';
import { problem } from '../events/event.js';
import { Log } from '../log/log.js';
import type { ServeOptions } from '../serve.js';
import { refuseLocked } from '../state-lock.js';
import { DRIVER_FDS } from './driver-fds.js';

const DRIVER_MAIN = programPath('parent/launcher/driver-main.js');
/** A driver that lived longer is started again at once. */
const MIN_LIFE_MS = 10_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** From SIGTERM to SIGKILL. Taking back what was set up in the namespaces may wait for hanging tools. */
const GRACE_MS = 10_000;

const STUCK = `the port driver did not end within ${GRACE_MS / 1000} s of SIGTERM; killed`;

/** Its end is reported elsewhere. */
const ENDED = 'ERR_DRIVER_ENDED';

export type DriverAnswer =
  | { readonly ready: true }
  | { readonly code: string; readonly message: string };

/** A driver that runs, here or in another process. */
export interface Running {
  /** Resolves after `close`, rejects if the driver can't go on. */
  readonly ended: Promise<void>;
  /** Closes every port and ends the agent and the API. */
  close(): Promise<void>;
}

/** A driver's process that has started and waits to be told what to serve. Keep it or dispose of it. */
export class WaitingDriver implements Disposable {
  readonly #api = unboundSocket();
  readonly #process = spawnDriver(this.#api);
  #hasBegun = false;
  #isKept = false;

  /** Lets it start its first agent once `look` says where; asks no more after that. */
  beginAgent(look: () => AgentPlace | undefined): void {
    const place = this.#hasBegun ? undefined : look();
    if (place !== undefined) this.#begin(place);
  }

  /** Resolves once all ports are open and the API answers; rejects and leaves nothing behind. */
  async keep(options: ServeOptions): Promise<Running> {
    if (!this.#hasBegun) this.#begin(null);
    // Else the socket of the one that serves would be found first, and its remedy is another one.
    refuseLocked(options.stateDir);
    const removePath = await holdSocket(this.#api, options.apiSocket);
    const release = () => {
      removePath();
      this.#api.close();
    };
    try {
      const running = await keepDriver(this.#process, this.#api, options);
      this.#isKept = true;
      const close = async () => {
        try {
          await running.close();
        } finally {
          release();
        }
      };
      return { ended: running.ended, close };
    } catch (error) {
      release();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#isKept) return;
    hangUp(this.#process);
    this.#api.close();
  }

  #begin(place: AgentPlace | null): void {
    this.#hasBegun = true;
    tellPlace(this.#process, place);
  }
}

async function keepDriver(first: DriverProcess, api: Fd, given: ServeOptions): Promise<Running> {
  const options = { ...given, heldApi: DRIVER_FDS.api };
  const over = new AbortController();
  const log = new Log(options.log);
  await begun(first, options);
  let process = first;
  const keep = async () => {
    let startedAt = performance.now();
    for (let pauseMs = 0; ; ) {
      const how = await process.ended;
      if (over.signal.aborted || how === 'done') return;
      pauseMs =
        performance.now() - startedAt > MIN_LIFE_MS
          ? 0
          : Math.min(Math.max(FIRST_PAUSE_MS, 2 * pauseMs), LONGEST_PAUSE_MS);
      log.event({ type: 'driverEnded', reason: how, pauseMs });
      await pause(pauseMs, over.signal);
      if (over.signal.aborted) return;
      startedAt = performance.now();
      process = spawnDriver(api);
      tellPlace(process, null);
      tell(process, options);
      void answerOf(process).then((answer) => report(answer, log));
    }
  };
  const ended = keep();
  const close = async () => {
    over.abort();
    const { child } = process;
    child?.kill('SIGTERM');
    const kill = setTimeout(() => {
      log.event(problem(new SluiceError('ERR_DRIVER_STUCK', STUCK)));
      child?.kill('SIGKILL');
    }, GRACE_MS);
    await ended;
    clearTimeout(kill);
  };
  return { ended, close };
}

interface DriverProcess {
  /** Undefined when it could not be started. */
  readonly child: ChildProcess | undefined;
  /** How it ended; `done` when it was its own decision. */
  readonly ended: Promise<string>;
}

/** Rejects when it can't serve. */
async function begun(process: DriverProcess, options: ServeOptions): Promise<void> {
  tell(process, options);
  const answer = await answerOf(process);
  if ('ready' in answer) return;
  await process.ended;
  throw new SluiceError(answer.code, answer.message);
}

function tellPlace({ child }: DriverProcess, place: AgentPlace | null): void {
  if (child !== undefined) channelOf(child).write(`${JSON.stringify(place)}\n`);
}

function tell({ child }: DriverProcess, options: ServeOptions): void {
  if (child !== undefined) channelOf(child).end(JSON.stringify(options));
}

function hangUp({ child }: DriverProcess): void {
  if (child !== undefined) channelOf(child).destroy();
}

function channelOf(child: ChildProcess): Socket {
  return child.stdio[DRIVER_FDS.launcher] as Socket;
}

function spawnDriver(api: Fd): DriverProcess {
  try {
    // A session of its own: signals of the terminal are for the container engine.
    const child = spawn(process.execPath, [DRIVER_MAIN], {
      stdio: ['ignore', 'ignore', 'inherit', 'pipe', api.number],
      detached: true,
      env: nodeEnvironment(),
    });
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(notBegun(error)));
      child.once('exit', (code, signal) => {
        if (code === 0) resolve('done');
        else resolve(signal === null ? `with exit code ${code}` : `by ${signal}`);
      });
    });
    if (child.pid === undefined) return { child: undefined, ended };
    // One that has ended meanwhile does not answer either.
    channelOf(child).on('error', () => {});
    return { child, ended };
  } catch (error) {
    // Some errnos are thrown, the others emitted.
    return { child: undefined, ended: Promise.resolve(notBegun(error)) };
  }
}

function notBegun(error: unknown): string {
  return `before it began (${messageOf(error)})`;
}

async function answerOf({ child, ended }: DriverProcess): Promise<DriverAnswer> {
  const end = ended.then((how) =>
    JSON.stringify({ code: ENDED, message: `the port driver ended ${how}` }),
  );
  const answers = [end];
  if (child !== undefined) {
    const lines = createInterface({ input: channelOf(child) });
    answers.push(new Promise((resolve) => lines.once('line', resolve)));
  }
  // It is trusted as this process itself.
  return JSON.parse(await Promise.race(answers)) as DriverAnswer;
}

function report(answer: DriverAnswer, log: Log): void {
  if ('ready' in answer || answer.code === ENDED) return;
  log.event(problem(new SluiceError(answer.code, answer.message)));
}
