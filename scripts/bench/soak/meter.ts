/** Adds up what a load has done, and shows how far it is. */
import type { Tally } from './churn.js';
import type { Progress } from './load.js';

/** Where nobody watches. */
const LINE_INTERVAL_MS = 30_000;
/** What nobody should have to wait for longer. */
const LONG_STALL_MS = 100;

export class Meter {
  readonly ports: Tally = { done: 0, failed: {} };
  readonly containers: Tally = { done: 0, failed: {} };
  readonly #name: string;
  readonly #durationMs: number;
  readonly #startedAt = performance.now();
  readonly #sum = { bytes: 0, connections: 0, datagrams: 0, lost: 0 };
  readonly #failed: Record<string, number> = {};
  readonly stalls = new Stalls();
  #shownAt = -Infinity;

  constructor(name: string, durationMs: number) {
    this.#name = name;
    this.#durationMs = durationMs;
  }

  take(progress: Progress): void {
    for (const key of ['bytes', 'connections', 'datagrams', 'lost'] as const) {
      this.#sum[key] += progress[key];
    }
    for (const [what, count] of Object.entries(progress.failed)) {
      this.#failed[what] = (this.#failed[what] ?? 0) + count;
    }
    this.#show(progress);
  }

  end(): void {
    if (process.stdout.isTTY) process.stdout.write('\n');
  }

  /** For people: how long anything took depends on the machine, and on what else runs there. */
  summary(): string {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const { bytes, connections, datagrams, lost } = this.#sum;
    return [
      `${(bytes / 2 ** 30).toFixed(1)} GiB (${gigabits(bytes / seconds)}), ${connections} connections, ` +
        `${datagrams} datagrams (${lost} lost), ${this.ports.done} times a TCP and a UDP port, ` +
        `${this.containers.done} containers`,
      `longest stall: ${this.stalls.describe()}`,
    ].join('\n');
  }

  failures(): string[] {
    const all = { ...this.#failed, ...this.ports.failed, ...this.containers.failed };
    const { connections, datagrams } = this.#sum;
    return [
      ...Object.entries(all).map(([what, count]) => `${count} times: ${what}`),
      ...(connections > 0 && datagrams > 0 && this.ports.done > 0 ? [] : ['some load never ran']),
    ];
  }

  #show(progress: Progress): void {
    const now = performance.now();
    const isWatched = process.stdout.isTTY;
    if (!isWatched && now - this.#shownAt < LINE_INTERVAL_MS) return;
    this.#shownAt = now;
    const { bytes, connections, datagrams } = progress;
    const line =
      `${this.#name}: ${clock(now - this.#startedAt)} of ${clock(this.#durationMs)}, ` +
      `${gigabits(bytes)}, ${connections} connections/s, ${datagrams} datagrams/s, ` +
      `${this.ports.done} ports, ${this.containers.done} containers, ` +
      `longest stall ${Math.round(this.stalls.longestMs)} ms`;
    process.stdout.write(isWatched ? `\r\x1b[K${line}` : `${line}\n`);
  }
}

/** Of lines of a second each. */
class Stalls {
  longestMs = 0;
  #seconds = 0;
  #longSeconds = 0;

  take(ms: number): void {
    this.longestMs = Math.max(this.longestMs, ms);
    this.#seconds++;
    if (ms > LONG_STALL_MS) this.#longSeconds++;
  }

  describe(): string {
    const share = `${this.#longSeconds} of ${this.#seconds} s`;
    return `${Math.round(this.longestMs)} ms; over ${LONG_STALL_MS} ms in ${share}`;
  }
}

function gigabits(bytesPerSecond: number): string {
  return `${((bytesPerSecond * 8) / 1e9).toFixed(1)} Gbit/s`;
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
