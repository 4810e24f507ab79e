/** What a suite must not leave behind: open fds of the worker, and processes. */
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { until } from './wait.js';

/** What has been closed or ended may take this long to vanish. */
const SETTLE_MS = 20_000;

/** Every process started from here inherits it, however far from here it ends up. */
const MARK = `SLUICE_TEST_SUITE=${randomUUID()}`;
const [MARK_NAME = '', MARK_VALUE] = MARK.split('=');

export interface Baseline {
  readonly fds: ReadonlySet<string>;
}

/** Marks the processes that are started from now on, and remembers the fds that are open. */
export function takeBaseline(): Baseline {
  process.env[MARK_NAME] = MARK_VALUE;
  return { fds: new Set(openFds()) };
}

/** Throws an error that names the fds and processes that the baseline did not have. */
export async function assertNoLeaks({ fds }: Baseline): Promise<void> {
  const leaks = () => [...openFds().filter((fd) => !fds.has(fd)), ...markedProcesses()];
  await until(() => leaks().length === 0, SETTLE_MS, 'no leaks').catch(() => {
    const left = leaks();
    if (left.length > 0) throw new Error(`Left behind by this suite: ${left.join(', ')}`);
  });
}

function openFds(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return `fd ${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`;
    } catch {
      return []; // The one that the folder itself was read through.
    }
  });
}

function markedProcesses(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(MARK)) return [];
      return `process ${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`;
    } catch {
      return []; // Ended meanwhile, or another user's.
    }
  });
}
