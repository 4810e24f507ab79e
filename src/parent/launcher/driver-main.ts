/**
 * The driver's process: see driver-process.ts. What takes long is begun before most of this program is
 * loaded.
 */

import { readFileSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { AgentPlace } from '../agent-place.js';
import { EarlyStart } from '../early-start.js';
import type { ServeOptions } from '../serve.js';
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
  // For a successor, after a reload.
  process.argv[2] = text;
  await drive(JSON.parse(text) as ServeOptions, early);
}

async function goOn(text: string): Promise<void> {
  const { drive } = await import('./drive.js');
  await drive(JSON.parse(text) as ServeOptions);
}

const [, , given] = process.argv;
void (given === undefined ? begin() : goOn(given)).finally(() => process.exit());
