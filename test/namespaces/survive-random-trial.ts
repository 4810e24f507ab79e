/** What is dealt to a driver's processes at random, and what must hold after each step. */
import assert from 'node:assert/strict';
import type { Spec, Status } from '../../src/msg/port.js';
import type { Namespace } from '../harness/namespaces.js';
import { until } from '../harness/wait.js';
import { answersTo, type RunningDriver } from './driver-support.js';
import { listensOn, Processes, randomFrom, type Role, told } from './survive-random-support.js';
import { noted } from './survive-support.js';

const DEADLINE_MS = 60_000;
/** Ports that come and go. */
const PORTS = Array.from({ length: 8 }, (_, index) => 9000 + index);
const SIGNALS = ['SIGKILL', 'SIGKILL', 'SIGABRT', 'SIGSTOP', 'SIGTERM', 'SIGINT'] as const;
const ROLES = ['driver', 'driver', 'agent', 'agent', 'spare', 'launcher'] as const;
const LONGEST_GAP_MS = 100;

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** One that leads to the server inside. */
export const spec = (parentPort: number, proto: 'tcp' | 'udp') =>
  ({ proto, parentIP: '127.0.0.1', parentPort, childPort: 80 }) as const;

export interface TrialOptions {
  readonly seed: number;
  readonly stateDir: string;
  readonly longestStopMs: number;
}

/** One thing that happens. */
interface Blow {
  readonly role: Role;
  readonly signal: NodeJS.Signals | 'error';
}

export class Trial {
  readonly #driver: RunningDriver;
  readonly #stateDir: string;
  readonly #longestStopMs: number;
  readonly #host: Namespace;
  readonly #processes: Processes;
  readonly #random: () => number;
  readonly #ports = new Map<number, Spec>();
  #lastId = 0;
  readonly ends = { driver: new Set<number>(), agent: new Set<number>() };

  constructor(
    driver: RunningDriver,
    host: Namespace,
    { seed, stateDir, longestStopMs }: TrialOptions,
  ) {
    this.#driver = driver;
    this.#stateDir = stateDir;
    this.#host = host;
    this.#processes = new Processes(driver, host);
    this.#random = randomFrom(seed);
    this.#longestStopMs = longestStopMs;
  }

  async add(wanted: Spec): Promise<void> {
    this.#note(await this.#driver.add(wanted));
  }

  #one<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  /** Two blows, a call of the API before or beside them, and a look at what there is then. */
  async step(): Promise<string> {
    const pids = await this.#processes.all();
    const blows = [this.#blow(), this.#blow()];
    const gapMs = this.#random() * LONGEST_GAP_MS;
    const isBeside = this.#random() < 0.5;
    const call = this.#call();
    if (!isBeside) await call;
    const resumed: Promise<unknown>[] = [];
    for (const { role, signal } of blows) {
      resumed.push(this.#deal(pids[role], role, signal));
      await after(gapMs);
    }
    await Promise.all(resumed);
    const what = `${isBeside ? 'beside' : 'after'} ${await call}`;
    await this.#agree();
    return `${blows.map(({ role, signal }) => `${signal} ${role}`).join(', ')} ${what}`;
  }

  #blow(): Blow {
    const role = this.#one(ROLES);
    // An end of the launcher is another story: nobody starts a driver after it.
    if (role === 'launcher') return { role, signal: 'SIGSTOP' };
    if (role === 'driver' && this.#random() < 0.2) return { role, signal: 'error' };
    return { role, signal: this.#one(SIGNALS) };
  }

  /** Resolves once a process that it has stopped goes on. */
  async #deal(pid: number, role: Role, signal: Blow['signal']): Promise<void> {
    const isEnd = ['SIGKILL', 'SIGABRT', 'error'].includes(signal);
    const stopMs = this.#random() * this.#longestStopMs;
    const isDealt =
      signal === 'error' ? await this.#processes.throwIn(pid) : this.#processes.send(pid, signal);
    if (isDealt && isEnd && role === 'driver') this.ends.driver.add(pid);
    if (isDealt && isEnd && role === 'agent') this.ends.agent.add(pid);
    if (signal !== 'SIGSTOP') return;
    await after(stopMs);
    this.#processes.send(pid, 'SIGCONT');
  }

  /** Adds or removes a port. One whose driver ends meanwhile may or may not have been done. */
  async #call(): Promise<string> {
    const [id] = [...this.#ports].find(([, { parentPort }]) => parentPort >= 9000) ?? [];
    if (id !== undefined && this.#random() < 0.5) {
      const done = await this.#driver.remove(id).catch(() => undefined);
      if (done?.status === 200) this.#ports.delete(id);
      else if (done === undefined) await this.#settle();
      else throw new Error(`removal of ${id}: ${done.status} ${done.body}`);
      return `DELETE ${id} ${done?.status ?? 'unanswered'}`;
    }
    const taken = [...this.#ports.values()].map(({ parentPort }) => parentPort);
    const free = PORTS.filter((port) => !taken.includes(port));
    if (free.length === 0) return 'nothing';
    const wanted = spec(this.#one(free), this.#one(['tcp', 'udp'] as const));
    const added = await this.#driver.post(wanted).catch(() => undefined);
    if (added === undefined) await this.#settle();
    else if (added.status !== 201) throw new Error(`adding: ${added.status} ${added.body}`);
    else this.#note(JSON.parse(added.body) as Status);
    return `POST ${wanted.parentPort}/${wanted.proto} ${added?.status ?? 'unanswered'}`;
  }

  #note({ id, spec: given }: Status): void {
    assert(id > this.#lastId, `id ${id} after ${this.#lastId}`);
    this.#lastId = id;
    this.#ports.set(id, given);
  }

  /** After a call without an answer: at most one port more or less than before. */
  async #settle(): Promise<void> {
    const list = await this.#driver.list();
    const gone = [...this.#ports.keys()].filter((id) => !list.some((port) => port.id === id));
    const come = list.filter(({ id }) => !this.#ports.has(id));
    assert(gone.length + come.length <= 1, `gone: ${gone.join()}, come: ${come.length}`);
    for (const id of gone) this.#ports.delete(id);
    for (const port of come) this.#note(port);
  }

  async #agree(): Promise<void> {
    const wanted = [...this.#ports].map(([id, given]) => ({ id, spec: given }));
    assert.deepEqual(
      await this.#driver.list(),
      wanted.toSorted((a, b) => a.id - b.id),
    );
    await noted(this.#stateDir, ...wanted.map(({ id }) => id).toSorted((a, b) => a - b));
    const specs = [...this.#ports.values()];
    const among = [...PORTS, ...specs.map(({ parentPort }) => parentPort)];
    await until(
      async () => (await listensOn(this.#host, specs, among)) === '',
      DEADLINE_MS,
      'exactly the listeners of these ports',
    );
    const closed = PORTS.filter((port) => !specs.some((one) => one.parentPort === port));
    const answers = await answersTo(
      this.#host,
      closed.map((port) => ['127.0.0.1', port]),
    );
    assert(
      answers.every((answer) => answer === 'ECONNREFUSED'),
      answers.join(),
    );
    await until(() => this.#areEndsTold(), DEADLINE_MS, 'a line for each end');
  }

  /** The log's rate limit holds the eleventh of a minute back until its end. */
  #areEndsTold(): boolean {
    const { stderr } = this.#driver.program;
    const drivers = told(stderr, 'driverEnded');
    const agents = told(stderr, 'agentReplaced');
    return (drivers >= this.ends.driver.size || drivers >= 10) && agents >= this.ends.agent.size;
  }
}
