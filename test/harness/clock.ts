/** A wall clock of a program's own, which a test sets: libfaketime in the place of the kernel's. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import type { Need } from './needs.js';

const LIBRARY = readdirSync('/usr/lib')
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  .find((file) => existsSync(file));

export const libfaketime: Need = () =>
  LIBRARY === undefined ? 'libfaketime: apt-get install libfaketime' : undefined;

export class WallClock {
  /** For the program and all that it starts. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(cleanup: Cleanup) {
    this.#file = join(temporaryFolder(cleanup), 'offset');
    this.jump('+0');
    this.env = {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // A clock that is set leaves the monotonic one alone: clock_gettime(2).
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Else a process that is killed in a stat(2) keeps the lock that all of them take for one.
      NO_FAKE_STAT: '1',
    };
  }

  /** Sets it to the real time and `offset`, such as `+30d`. */
  jump(offset: string): void {
    writeFileSync(this.#file, `${offset}\n`);
  }
}
