/**
 * The driver in a process of its own, next to the launcher that waits for the namespaces: one that
 * ends unasked is started again and goes on with the agents and ports that it finds.
 *
 * The first one is started while the namespaces are being made. On fd 3 the process is told, in a
 * line of JSON, where to start an agent before all else, or null; then what to serve, Orders as
 * JSON up to the end of the stream. It answers with lines of JSON (DriverNews). Hung up on before
 * it knows what to serve it ends. Fd 4 is the socket of the API, which the launcher holds as well,
 * so that callers can wait meanwhile; fd 5 is the link (held-ports.ts).
 *
 * The driver ends with all its ports when the launcher asks for it on the link, and by itself with
 * its namespaces; it says so before it does. It ignores signals that stop programs, since an engine
 * that is stopped may take its time, with its ports. It goes on without its launcher.
 */

import { SluiceError } from '../../msg/errors.js';
import { holdSocket, unboundSocket } from '../api/socket.js';
import type { AgentPlace } from '../agent-place.js';
import { pause } from '../pause.js';
import { problem } from '../events/event.js';
import { Log } from '../log/log.js';
import type { ServeOptions } from '../serve.js';
import { refuseLocked } from '../state-lock.js';
import { type DriverAnswer, DriverChild } from './driver-child.js';
import { HeldPorts } from './held-ports.js';

/** A driver that has served for longer is started again at once. */
const MIN_LIFE_MS = 1000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
/** From asking it to SIGKILL. Taking back what was set up in the namespaces may wait for hanging tools. */
const GRACE_MS = 10_000;

const STUCK = `the port driver did not end within ${GRACE_MS / 1000} s of being asked to; killed`;

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
  readonly #held = new HeldPorts();
  readonly #process = new DriverChild(this.#api, this.#held);
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
    // Check the lock before the socket: both fail if another sluice serves, but this error helps.
    refuseLocked(options.stateDir);
    const removePath = await holdSocket(this.#api, options.apiSocket);
    const release = () => {
      removePath();
      this.#api.close();
      this.#held[Symbol.dispose]();
    };
    try {
      const start = () => new DriverChild(this.#api, this.#held);
      const running = await keepDriver(this.#process, start, this.#held, options);
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
    this.#process.hangUp();
    this.#api.close();
    this.#held[Symbol.dispose]();
  }

  #begin(place: AgentPlace | null): void {
    this.#hasBegun = true;
    this.#process.tellPlace(place);
  }
}

async function keepDriver(
  first: DriverChild,
  start: () => DriverChild,
  held: HeldPorts,
  options: ServeOptions,
): Promise<Running> {
  const over = new AbortController();
  const log = new Log(options.log);
  await begun(first, options);
  let process = first;
  const keep = async () => {
    let readyAt: number | undefined = performance.now();
    // How many of the last ones ended too soon.
    for (let early = 0; ; early++) {
      const { how, wasDone } = await process.ended;
      if (over.signal.aborted || wasDone) return;
      if (readyAt !== undefined && performance.now() - readyAt > MIN_LIFE_MS) early = 0;
      const pauseMs =
        early === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (early - 1), LONGEST_PAUSE_MS);
      log.event({ type: 'driverEnded', reason: how, pauseMs });
      await pause(pauseMs, over.signal);
      if (over.signal.aborted) return;
      readyAt = undefined;
      process = start();
      process.tellPlace(null);
      process.tell(options, false);
      void process.answer.then((answer) => {
        if ('ready' in answer) readyAt = performance.now();
        else log.event(problem(errorOf(answer)));
      });
    }
  };
  const ended = keep();
  const close = async () => {
    over.abort();
    held.end();
    const kill = setTimeout(() => {
      log.event(problem(new SluiceError('ERR_DRIVER_STUCK', STUCK)));
      process.kill();
    }, GRACE_MS);
    await ended;
    clearTimeout(kill);
    log.flush();
  };
  return { ended, close };
}

/** Rejects when it can't serve. */
async function begun(process: DriverChild, options: ServeOptions): Promise<void> {
  process.tell(options, true);
  const end = process.ended.then(({ how }) => {
    throw new SluiceError('ERR_DRIVER_ENDED', `the port driver ended ${how}`);
  });
  end.catch(() => {});
  const answer = await Promise.race([process.answer, end]);
  if ('ready' in answer) return;
  await process.ended;
  throw errorOf(answer);
}

function errorOf({ code, message }: Exclude<DriverAnswer, { ready: true }>): SluiceError {
  return new SluiceError(code, message);
}
