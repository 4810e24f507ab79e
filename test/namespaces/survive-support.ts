/** A server and a client that keep connecting to it while something is killed. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseState } from '../../src/parent/state-text.js';
import type { Cleanup } from '../harness/cleanup.js';
import { type Namespace, enter, runIn } from '../harness/namespaces.js';
import { type Program, start } from '../harness/processes.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;

/** Sends back what it gets, on 127.0.0.1:80. */
export const ECHO_SERVER = [
  process.execPath,
  '--eval',
  `require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
    .listen(80, '127.0.0.1', () => console.log('serving'));`,
];

/**
 * Goes to and fro on one connection, and on a new one again and again, until it is sent SIGTERM;
 * then it prints what happened.
 */
const LOAD = `
  const { connect } = require('node:net');
  const port = Number(process.argv[1]);
  const tally = { kept: 0, keptEnd: '', answered: 0, failed: {}, longestMs: 0 };
  const kept = connect(port, '127.0.0.1', () => kept.write('x'));
  kept.on('data', () => { tally.kept++; setTimeout(() => kept.write('x'), 2); })
    .on('error', () => {}).on('close', () => (tally.keptEnd = 'closed'));
  const one = () => {
    const begin = performance.now();
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.end('question')).setEncoding('utf8');
    let failure = 'cut';
    socket.on('data', (text) => (answer += text)).on('error', ({ code }) => (failure = code))
      .on('close', () => {
        if (answer === 'question') tally.answered++;
        else tally.failed[failure] = (tally.failed[failure] ?? 0) + 1;
        tally.longestMs = Math.max(tally.longestMs, Math.round(performance.now() - begin));
        if (tally.answered % 50 === 1) console.log('answered ' + tally.answered);
        setTimeout(one, 1);
      });
  };
  for (let count = 0; count < 8; count++) one();
  process.on('SIGTERM', () => { console.log('tally ' + JSON.stringify(tally)); process.exit(); });`;

export interface Tally {
  /** Round trips on the connection that was there from the beginning. */
  readonly kept: number;
  /** Empty while it is open. */
  readonly keptEnd: string;
  /** New connections that got their whole answer. */
  readonly answered: number;
  /** New connections that did not, by errno; \`cut\` for an end too soon. */
  readonly failed: Readonly<Record<string, number>>;
  readonly longestMs: number;
}

export class Load {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async start(cleanup: Cleanup, host: Namespace, port: number): Promise<Load> {
    const command = [process.execPath, '--eval', LOAD, String(port)];
    const load = new Load(await start(cleanup, enter(host, ...command)));
    await load.goesOn();
    return load;
  }

  /** Waits until some hundred more connections were answered. */
  async goesOn(): Promise<void> {
    const lines = () => this.#program.stdout.split('\n').length;
    const before = lines();
    await this.#program.until(() => lines() > before + 3, DEADLINE_MS, 'further answers');
  }

  /** Ends it. The longest wait is for people: how long depends on the machine. */
  async tally(): Promise<Tally> {
    this.#program.signal('SIGTERM');
    const [, text = ''] = await this.#program.line(/^tally (.*)$/m, DEADLINE_MS);
    const tally = JSON.parse(text) as Tally;
    console.log(`answered ${tally.answered}, the slowest within ${tally.longestMs} ms`);
    return tally;
  }
}

/** Waits until the state file lists these ports, which it does soon after the API. */
export async function noted(stateDir: string, ...ids: number[]): Promise<void> {
  const isNoted = () => {
    const { ports } = parseState(readFileSync(join(stateDir, 'sluice.json'), 'utf8'));
    return String(ports.map(({ id }) => id)) === String(ids);
  };
  await until(isNoted, DEADLINE_MS, `ports ${ids.join()} in the state file`);
}

/** The driver's process under that launcher. */
export function driverOf(launcher: number): number | undefined {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/status`, 'utf8').includes(`\nPPid:\t${launcher}\n`) &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/driver-main.js')
        );
      } catch {
        return false; // Ended meanwhile.
      }
    });
}

export function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

/** Throws an error that nothing catches: for `evaluateIn`. */
export const THROW = "setTimeout(() => { throw new Error('a fault of the test') })";

const EVALUATE = `
  const [, pid, expression] = process.argv;
  process.kill(Number(pid), 'SIGUSR1');
  const ask = async () => {
    const [{ webSocketDebuggerUrl }] = await (await fetch('http://127.0.0.1:9229/json')).json();
    const socket = new WebSocket(webSocketDebuggerUrl);
    const method = 'Runtime.evaluate';
    socket.onopen = () => socket.send(JSON.stringify({ id: 1, method, params: { expression } }));
    socket.onmessage = socket.onclose = socket.onerror = () => process.exit();
  };
  const again = () => {
    process.kill(Number(pid), 0);
    ask().catch(() => setTimeout(again, 20));
  };
  again();`;

/** Has the debugger of a Node.js process, which listens in its network namespace, run that there. */
export async function evaluateIn(host: Namespace, pid: number, expression: string): Promise<void> {
  const options = ['--experimental-websocket', '--no-warnings', '--eval', EVALUATE];
  await runIn(host, [process.execPath, ...options, String(pid), expression]);
}
