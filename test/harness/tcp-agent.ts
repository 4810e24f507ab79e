/** What can be seen and done to an agent from outside: its fds, its time, its limits. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { fieldsAfterName } from '../../dist/parent/proc.js';
import { run } from './processes.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;
/** Of proc(5), on every platform of Linux since 2.6. */
const TICK_MS = 10;

export class AgentProbe {
  readonly pid: number;

  constructor(pid: number) {
    this.pid = pid;
  }

  /** What its open fds are, such as `socket:[1234]` and `pipe:[1234]`. */
  fds(): string[] {
    return readdirSync(`/proc/${this.pid}/fd`).flatMap((fd) => {
      try {
        return readlinkSync(`/proc/${this.pid}/fd/${fd}`);
      } catch {
        return []; // Closed meanwhile.
      }
    });
  }

  sockets(): number {
    return this.fds().filter((target) => target.startsWith('socket:')).length;
  }

  /** Distinct pipes, each of which has two ends. */
  pipes(): number {
    return new Set(this.fds().filter((target) => target.startsWith('pipe:'))).size;
  }

  /** User and system time in clock ticks, which are 10 ms. */
  cpuTicks(): number {
    const fields = this.#stat();
    return Number(fields[11]) + Number(fields[12]);
  }

  ageMs(): number {
    const uptimeS = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    return uptimeS * 1000 - this.startedAtTicks() * TICK_MS;
  }

  /** Since the boot. */
  startedAtTicks(): number {
    return Number(this.#stat()[19]);
  }

  /** The agent does nothing while `work` runs: what happens meanwhile comes to it all at once. */
  async frozen<T>(work: () => T | Promise<T>): Promise<T> {
    process.kill(this.pid, 'SIGSTOP');
    try {
      await until(() => this.#stat()[0] === 'T', DEADLINE_MS, 'a stopped agent');
      return await work();
    } finally {
      process.kill(this.pid, 'SIGCONT');
    }
  }

  limitFds(most: number): Promise<void> {
    return this.#limit('nofile', String(most));
  }

  /** Lets it map so many bytes more than it has now; without a number, as many as it wants. */
  limitMemory(kind: 'as' | 'data', more?: number): Promise<void> {
    const now = /^Vm(?:Size|Data):\t *(\d+) kB$/gm;
    const [size = 0, data = 0] = [
      ...readFileSync(`/proc/${this.pid}/status`, 'utf8').matchAll(now),
    ].map(([, kib]) => Number(kib) * 1024);
    const used = kind === 'as' ? size : data;
    return this.#limit(kind, more === undefined ? 'unlimited' : String(used + more));
  }

  /** The soft limit: it can be raised again. */
  async #limit(resource: string, soft: string): Promise<void> {
    await run(['prlimit', `--pid=${this.pid}`, `--${resource}=${soft}:`]);
  }

  /** From the state on: see proc_pid_stat(5). */
  #stat(): string[] {
    return fieldsAfterName(readFileSync(`/proc/${this.pid}/stat`, 'latin1'));
  }
}

/** The agent that serves, of those that this process has started: its spare one is younger. */
export function findAgent(): AgentProbe | undefined {
  const agents = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      if (Number(parent) !== process.pid) return [];
      const [, script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      if (!script.endsWith('/child/main.js')) return [];
      const probe = new AgentProbe(Number(pid));
      return { probe, startedAt: probe.startedAtTicks() };
    } catch {
      return []; // Ended meanwhile.
    }
  });
  return agents.toSorted((one, other) => one.startedAt - other.startedAt)[0]?.probe;
}
