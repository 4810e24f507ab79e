/** What a process costs: proc_pid_stat(5). */
import { promises as fs } from 'node:fs';
import { fieldsAfterName } from './proc.js';

/** USER_HZ, which every architecture of ours has. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

export interface ProcessLoad {
  readonly pid: number;
  /** User and system time since its start. */
  readonly cpuSeconds: number;
  readonly residentBytes: number;
}

/** Undefined when there is no such process any more. */
export async function processLoad(pid: number): Promise<ProcessLoad | undefined> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined);
  if (stat === undefined) return undefined;
  const fields = fieldsAfterName(stat).map(Number);
  const [userTicks = 0, systemTicks = 0] = fields.slice(11);
  const [residentPages = 0] = fields.slice(21);
  return {
    pid,
    cpuSeconds: (userTicks + systemTicks) / TICKS_PER_SECOND,
    residentBytes: residentPages * PAGE_BYTES,
  };
}
