/** Processes of a driver to end at random, and what must hold afterwards. */
import type { Spec } from '../../src/msg/port.js';
import { boundAddresses } from '../../src/parent/proc-net.js';
import type { Cleanup } from '../harness/cleanup.js';
import { type Namespace, enter } from '../harness/namespaces.js';
import { type Program, start } from '../harness/processes.js';
import type { RunningDriver } from './driver-support.js';
import { driverOf, evaluateIn, isRunning, THROW } from './survive-support.js';

const DEADLINE_MS = 60_000;

/** Sends back what it gets on port 80, by TCP and UDP. */
export const ECHO_BOTH = [
  process.execPath,
  '--eval',
  `const udp = require('node:dgram').createSocket('udp4');
  udp.on('message', (text, { port, address }) => udp.send(text, port, address));
  udp.bind(80, '127.0.0.1', () =>
    require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket))
      .listen(80, '127.0.0.1', () => console.log('serving')));`,
];

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Asks again and again from four connected sockets; prints errors and answers at SIGTERM. */
const UDP_LOAD = `
  const port = Number(process.argv[1]);
  const tally = { answered: 0, failed: {} };
  for (let count = 0; count < 4; count++) {
    const udp = require('node:dgram').createSocket('udp4');
    udp.on('message', () => (tally.answered++) % 100 || console.log('answered ' + tally.answered))
      .on('error', ({ code }) => (tally.failed[code] = (tally.failed[code] ?? 0) + 1));
    udp.connect(port, '127.0.0.1', () => setInterval(() => udp.send('question'), 5));
  }
  process.on('SIGTERM', () => { console.log('tally ' + JSON.stringify(tally)); process.exit(); });`;

export class UdpLoad {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  static async start(cleanup: Cleanup, host: Namespace, port: number): Promise<UdpLoad> {
    const command = [process.execPath, '--eval', UDP_LOAD, String(port)];
    const load = new UdpLoad(await start(cleanup, enter(host, ...command)));
    await load.goesOn();
    return load;
  }

  /** Waits for some hundred more answers. */
  async goesOn(): Promise<void> {
    const lines = () => this.#program.stdout.split('\n').length;
    const before = lines();
    await this.#program.until(() => lines() > before + 2, DEADLINE_MS, 'further datagrams');
  }

  /** Ends it. Errors by name: ECONNREFUSED where nobody had the port. */
  async failures(): Promise<Readonly<Record<string, number>>> {
    this.#program.signal('SIGTERM');
    const [, text = ''] = await this.#program.line(/^tally (.*)$/m, DEADLINE_MS);
    const { answered, failed } = JSON.parse(text) as {
      answered: number;
      failed: Record<string, number>;
    };
    console.log(`answered ${answered} datagrams`);
    return failed;
  }
}

export type Role = 'launcher' | 'driver' | 'agent' | 'spare';

/** The processes of a driver, by what they do at present; 0 for one that there is not. */
export class Processes {
  readonly #driver: RunningDriver;
  readonly #host: Namespace;

  constructor(driver: RunningDriver, host: Namespace) {
    this.#driver = driver;
    this.#host = host;
  }

  async all(): Promise<Readonly<Record<Role, number>>> {
    const launcher = this.#driver.program.pid;
    const running = (await this.#driver.info()).portDriver?.agents?.running ?? [];
    const [agent = 0, spare = 0] = (['serving', 'spare'] as const).map(
      (wanted) => running.find(({ state }) => state === wanted)?.pid,
    );
    return { launcher, driver: driverOf(launcher) ?? 0, agent, spare };
  }

  /** Whether the process was there to be sent it. */
  send(pid: number, signal: NodeJS.Signals): boolean {
    if (pid === 0 || !isRunning(pid)) return false;
    process.kill(pid, signal);
    return true;
  }

  /** An error that nothing catches. */
  async throwIn(pid: number): Promise<boolean> {
    if (!isRunning(pid)) return false;
    // One that is killed meanwhile throws nothing.
    return evaluateIn(this.#host, pid, THROW).then(
      () => true,
      () => false,
    );
  }
}

/** Whether exactly these host ports are listened on, of those that a test uses. */
export async function listensOn(
  { pid }: Namespace,
  specs: readonly Spec[],
  among: readonly number[],
): Promise<string> {
  const wrong: string[] = [];
  for (const port of among) {
    for (const proto of ['tcp', 'udp'] as const) {
      const isWanted = specs.some((spec) => spec.parentPort === port && spec.proto === proto);
      const isThere = (await boundAddresses(pid, proto, port)).length > 0;
      if (isWanted !== isThere) wrong.push(`${port}/${proto} ${isThere ? 'is' : 'is not'} there`);
    }
  }
  return wrong.join(', ');
}

/** How many ends the log tells of, with those that its rate limit has held back. */
export function told(stderr: string, event: string): number {
  const lines = stderr.split('\n').filter((line) => line.includes(` event=${event} `));
  return lines.reduce((sum, line) => {
    const [, more] = /msg="(\d+) more of these/.exec(line) ?? [];
    return sum + (more === undefined ? 1 : Number(more));
  }, 0);
}
