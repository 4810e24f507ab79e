/** The agents that were started from here, however far from here they ended up. */
import { readFileSync, readdirSync } from 'node:fs';

export function agentPids(): number[] {
  return readdirSync('/proc').map(Number).filter(isAgentOfOurs);
}

function isAgentOfOurs(pid: number): boolean {
  try {
    // Programs that are to become one have it further behind.
    const [, script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return script.endsWith('/child/main.js') && descends(pid);
  } catch {
    return false; // It has ended, or is no process at all.
  }
}

function descends(pid: number): boolean {
  const parent = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return parent === process.pid || (parent > 1 && descends(parent));
}
