import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Cleanup } from './cleanup.js';
import { pathWith } from './paths.js';
import { type Truthy, isTruthy, until } from './wait.js';

/** From SIGTERM to SIGKILL. A launcher gives its driver ten seconds of it. */
const GRACE_MS = 20_000;

/** A process that outlives the program may hold its outputs open: not waited for any longer. */
const OUTPUT_END_MS = 1_000;

export interface StartOptions {
  /** Added to the environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** What the program reads; without it its standard input is /dev/null. */
  readonly input?: string | Buffer;
  /** fds of ours that become its fd 3 and following. */
  readonly extraFds?: readonly number[];
  readonly graceMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running program and what it has written so far. */
export class Program {
  readonly pid: number;
  /** Resolves once it has ended and its output is complete. */
  readonly exit: Promise<Exit>;
  stdout = '';
  stderr = '';
  #ended = false;
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #graceMs: number;

  constructor(child: ChildProcess, command: string, graceMs = GRACE_MS) {
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#command = command;
    this.#graceMs = graceMs;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exit = new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#ended = true;
        resolve({ code: child.exitCode, signal: child.signalCode });
      };
      let timer: NodeJS.Timeout;
      child.once('exit', () => (timer = setTimeout(settle, OUTPUT_END_MS)));
      child.once('close', settle);
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The command with everything it wrote, for error messages. */
  describe(): string {
    return `${this.#command}\nstdout: ${this.stdout}\nstderr: ${this.stderr}`;
  }

  /** Waits for what can only come true while the program runs. */
  async until<T>(
    condition: () => T | Promise<T>,
    deadlineMs: number,
    what: string,
  ): Promise<Truthy<T>> {
    const check = async () => {
      const ended = this.#ended;
      const value: T = await condition();
      return (isTruthy(value) || ended) && { value };
    };
    const { value } = await until(check, deadlineMs, what).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.describe()}`, { cause: error });
    });
    if (!isTruthy(value)) throw new Error(`Ended before: ${what}\n${this.describe()}`);
    return value;
  }

  /** Waits until the program has written `pattern` to either of its outputs. */
  line(pattern: RegExp, deadlineMs: number): Promise<RegExpMatchArray> {
    const match = () => this.stdout.match(pattern) ?? this.stderr.match(pattern);
    return this.until(match, deadlineMs, `output like ${pattern}`);
  }

  async exited(deadlineMs: number): Promise<Exit> {
    await until(() => this.#ended, deadlineMs, `the end of ${this.#command}`);
    return this.exit;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, then SIGKILL to its whole process group where that was not enough. */
  async end(): Promise<Exit> {
    this.signal('SIGTERM');
    await this.exited(this.#graceMs).catch(() => killGroup(this.pid));
    return this.exit;
  }
}

/** For a worker that is ended in the middle of a test. */
const running = new Set<number>();
process.on('exit', () => running.forEach(killGroup));

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Starts a program in a process group of its own; `cleanup` ends it. */
export async function start(
  cleanup: Cleanup,
  command: readonly string[],
  options: StartOptions = {},
): Promise<Program> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: { ...process.env, PATH: pathWith(), ...options.env },
    detached: true,
    stdio: [
      options.input === undefined ? 'ignore' : 'pipe',
      'pipe',
      'pipe',
      ...(options.extraFds ?? []),
    ],
  });
  const program = new Program(child, command.join(' '), options.graceMs);
  // A program that ends without reading its input is no error of the test's.
  child.stdin?.on('error', () => {}).end(options.input);
  await once(child, 'spawn');
  running.add(program.pid);
  child.once('exit', () => running.delete(program.pid));
  cleanup.defer(() => program.end());
  return program;
}

/** Runs a program to its end and returns its standard output; a failure of it is an error. */
export async function run(
  command: readonly string[],
  options: StartOptions & { readonly deadlineMs?: number } = {},
): Promise<string> {
  const cleanup = new Cleanup();
  try {
    const program = await start(cleanup, command, options);
    const { code } = await program.exited(options.deadlineMs ?? 60_000);
    if (code !== 0) throw new Error(`Exit code ${code}: ${program.describe()}`);
    return program.stdout;
  } finally {
    await cleanup.run();
  }
}
