/**
 * Keeps what V8 makes of the programs' code when it reads it through, in a file beside each: they
 * start faster with it (scripts/entry.ts). npm runs this after an installation, because only the
 * same version of Node.js can use it. Where nothing can be written, programs start as they would
 * without.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../msg/errors.js';
import { compile } from '../msg/program-code.js';
import { nodeEnvironment } from './node-env.js';
import { programPath } from './package-folder.js';

const PROGRAMS = programPath('');
/** `main.2HXSMKTR.js`, after its folder. */
const CODE = /^(.+\.[0-9A-Z]{8})\.js$/;
/** Those that run in `nodeEnvironment`: V8 takes nothing that was made with other flags. */
const FRUGAL = /^(child\/main|parent\/launcher\/driver-main|parent\/return-path\/inside-main)\./;
const AS_FRUGAL = 'frugal';

function keepAll(isFrugal: boolean): void {
  for (const file of readdirSync(PROGRAMS, { recursive: true, encoding: 'utf8' })) {
    const [, name] = CODE.exec(file) ?? [];
    if (name !== undefined && FRUGAL.test(name) === isFrugal) keep(join(PROGRAMS, name));
  }
}

/** Whole or not at all: V8 doesn't look closely at what it is given. */
function keep(path: string): void {
  writeFileSync(`${path}.new`, compile(path).createCachedData());
  renameSync(`${path}.new`, `${path}.cache`);
}

try {
  const isFrugal = process.argv[2] === AS_FRUGAL;
  keepAll(isFrugal);
  if (!isFrugal) {
    const again = [programPath('parent/code-cache.js'), AS_FRUGAL];
    spawnSync(process.execPath, again, { env: nodeEnvironment(), stdio: 'inherit' });
  }
} catch (error) {
  process.stderr.write(`sluice: programs start without a code cache: ${messageOf(error)}\n`);
}
