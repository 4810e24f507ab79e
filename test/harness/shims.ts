import { readFileSync, readdirSync } from 'node:fs';
import { until } from './wait.js';

const DEADLINE_MS = 20_000;

/**
 * Ends the containers that outlive a dockerd with its folders in `home`: those of a dockerd that
 * was killed, and those whose network could not be set up, which dockerd 28 forgets.
 */
export async function endShims(home: string): Promise<void> {
  const gone = () => {
    const pids = shims(home).flatMap((shim) => [shim, ...children(shim)]);
    for (const pid of pids) kill(pid);
    return pids.length === 0;
  };
  await until(gone, DEADLINE_MS, `the end of the containers below ${home}`);
}

function shims(home: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [program = '', ...args] = read(`/proc/${pid}/cmdline`).split('\0');
      return (
        program.endsWith('/containerd-shim-runc-v2') && args.some((arg) => arg.startsWith(home))
      );
    });
}

function children(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** Empty when the process is gone. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
