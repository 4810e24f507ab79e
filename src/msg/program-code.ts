/**
 * The code of a program, as its entry runs it (scripts/entry.ts). What V8 keeps of it is for this very
 * text: both who makes that (parent/code-cache.ts) and who uses it have it from here.
 */

import { readFileSync } from 'node:fs';
import { wrap } from 'node:module';
import { Script } from 'node:vm';

/**
 * @param path of the code, without `.js`
 * @param kept what V8 made of it before; of no use to another version of it, or with other flags
 */
export function compile(path: string, kept?: Buffer): Script {
  const filename = `${path}.js`;
  const source = wrap(readFileSync(filename, 'latin1'));
  return new Script(source, { filename, ...(kept !== undefined && { cachedData: kept }) });
}
