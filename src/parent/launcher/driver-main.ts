/**
 * The driver's process: see driver-process.ts. What takes long is begun before most of this program is
 * loaded.
 */

import { readFileSync, readSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { AgentPlace } from '../agent-place.js';
import { EarlyStart } from '../early-start.js';
import type { Orders } from './driver-child.js';
import { DRIVER_FDS } from './driver-fds.js';

const NEWLINE = 10;

/** Undefined when the launcher was killed, or gave up. */
function readLine(fd: number): string | undefined {
  const byte = Buffer.alloc(1);
  const line: number[] = [];
  while (readSync(fd, byte) > 0) {
    const [value = NEWLINE] = byte;
    if (value === NEWLINE) return Buffer.from(line).toString('utf8');
    line.push(value);
  }
  return undefined;
}

/** The launcher trusts this process as itself, and is trusted. */
async function begin(): Promise<void> {
  const line = readLine(DRIVER_FDS.launcher);
  if (line === undefined) return;
  const place = JSON.parse(line) as AgentPlace | null;
  const early = place === null ? undefined : new EarlyStart(place);
  // Gives the programs that were started their input: loading the rest takes all of this thread.
  await setImmediate();
  const { drive } = await import('./drive.js');
  const text = readFileSync(DRIVER_FDS.launcher, 'utf8');
  if (text === '') return early?.end();
  await drive(JSON.parse(text) as Orders, early);
}

/** After a reload. */
async function goOn(given: string): Promise<void> {
  const [{ drive }, { takeOrders }] = [await import('./drive.js'), await import('./reload.js')];
  await drive(takeOrders(given));
}

/** What nothing caught, in the launcher's one line about this end, or where there is none in our own. */
function onFault(error: unknown): void {
  const fault = (error instanceof Error ? (error.stack ?? error.message) : String(error))
    .split('\n', 2)
    .map((line) => line.trim())
    .join(' ');
  try {
    writeSync(DRIVER_FDS.launcher, `${JSON.stringify({ fault })}\n`);
  } catch {
    process.stderr.write(`sluice: the port driver ended: ${fault}\n`);
  }
  process.exit(1);
}

process.on('uncaughtException', onFault);
const [, , given] = process.argv;
void (given === undefined ? begin() : goOn(given)).finally(() => process.exit());
