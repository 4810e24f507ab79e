/** doctor: a line for each finding. */
import { examine } from '../doctor/doctor.js';
import type { Finding } from '../doctor/finding.js';
import { thisMachine } from '../doctor/machine.js';

const WIDTH = 'failure'.length;

interface Options {
  readonly json?: true;
}

/** Resolves with the exit code: 1 where something fails, warnings don't count. */
export async function doctor({ json }: Options): Promise<number> {
  const findings = await examine(thisMachine());
  const text = json ? JSON.stringify(findings, null, 4) : findings.map(line).join('\n');
  process.stdout.write(`${text}\n`);
  return findings.some(({ status }) => status === 'failure') ? 1 : 0;
}

function line({ check, status, text, remedy }: Finding): string {
  const run = remedy === undefined ? '' : `; run: ${remedy}`;
  return `${status.padEnd(WIDTH)}  ${check}: ${text}${run}`;
}
