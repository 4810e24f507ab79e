/** What an installation made, written down so that exactly that can be taken away again. */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import * as z from 'zod';
import { SluiceError } from '../../msg/errors.js';
import { attempt, entrySchema, put, remove } from './entry.js';

const recordSchema = z.object({
  entries: z.array(entrySchema),
  /** Folders that were not there before, each after its parent. */
  folders: z.array(z.string()),
});

export type Record = z.infer<typeof recordSchema>;

const NOTHING: Record = { entries: [], folders: [] };

/** @throws SluiceError ERR_INSTALL_RECORD */
export function readRecord(path: string): Record {
  if (!existsSync(path)) return NOTHING;
  try {
    return recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new SluiceError(
      'ERR_INSTALL_RECORD',
      `${path}, where sluice writes down what it installed, can't be read; move it away (mv ${path} ${path}.old) and install again`,
      { cause: error },
    );
  }
}

/** An installation of nothing needs no record. */
export function writeRecord(path: string, record: Record): void {
  if (record.entries.length > 0) put({ path, text: `${JSON.stringify(record, null, 2)}\n` });
  else remove(path);
}

/** Makes the folders that `paths` are to be in; returns those that were not there. @throws SluiceError ERR_INSTALL_WRITE */
export function makeFolders(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const missing: string[] = [];
    for (let it = dirname(path); !existsSync(it); it = dirname(it)) missing.unshift(it);
    for (const folder of missing) attempt('make', folder, () => mkdirSync(folder));
    return missing;
  });
}

/** Those that others have put something into stay. */
export function removeFolders(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      // Not empty, or gone.
    }
  }
}
