/** From what is installed to what shall be: first as a list to look at, then done. */
import { join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { type Entry, equal, onDisk, put, remove } from './entry.js';
import { makeFolders, readRecord, type Record, removeFolders, writeRecord } from './record.js';

export interface Change {
  readonly verb: 'create' | 'update' | 'remove';
  /** As it is now; none before a `create`. */
  readonly before?: Entry;
  /** As it shall be; none after a `remove`. */
  readonly after?: Entry;
}

export interface Plan {
  readonly changes: readonly Change[];
  readonly wanted: readonly Entry[];
  readonly recordPath: string;
  readonly record: Record;
}

/**
 * Reads, and changes nothing. `watched` are paths that an installation may have.
 *
 * @throws SluiceError ERR_INSTALL_FOREIGN when a file is not as sluice left it: it is left alone,
 *   and so is all the rest
 */
export function plan(folder: string, wanted: readonly Entry[], watched: readonly string[]): Plan {
  const recordPath = join(folder, 'installed.json');
  const record = readRecord(recordPath);
  const paths = [...wanted, ...record.entries].map(({ path }) => path);
  const changes = [...new Set([...paths, ...watched])].flatMap((path) => {
    const after = wanted.find((entry) => entry.path === path);
    const change = changeOf(onDisk(path), after, record.entries);
    if (change === 'foreign') throw foreign(path);
    return change ?? [];
  });
  return { changes, wanted, recordPath, record };
}

function changeOf(
  before: ReturnType<typeof onDisk>,
  after: Entry | undefined,
  ours: readonly Entry[],
): Change | 'foreign' | undefined {
  if (before === undefined) return after && { verb: 'create', after };
  if (after && equal(before, after)) return undefined;
  if (before === 'other' || !ours.some((entry) => equal(before, entry))) return 'foreign';
  return after ? { verb: 'update', before, after } : { verb: 'remove', before };
}

/** What fails on the way is undone. @throws SluiceError ERR_INSTALL_WRITE */
export function apply({ changes, wanted, recordPath, record }: Plan): void {
  if (wanted.length === 0 && record.entries.length === 0) return;
  const made = makeFolders([recordPath, ...wanted.map(({ path }) => path)]);
  const folders = [...record.folders, ...made];
  const done: Change[] = [];
  try {
    // Whatever happens from here on, a later call knows both states as ours.
    writeRecord(recordPath, { entries: [...record.entries, ...wanted], folders });
    for (const change of changes) {
      done.push(change);
      perform(change.before, change.after);
    }
    writeRecord(recordPath, { entries: [...wanted], folders });
  } catch (error) {
    for (const { before, after } of done.toReversed()) perform(after, before);
    writeRecord(recordPath, record);
    removeFolders(made);
    throw error;
  }
  if (wanted.length === 0) removeFolders(folders);
}

function perform(before: Entry | undefined, after: Entry | undefined): void {
  if (after) put(after);
  else if (before) remove(before.path);
}

function foreign(path: string): SluiceError {
  return new SluiceError(
    'ERR_INSTALL_FOREIGN',
    `${path} is not as sluice wrote it, so nothing was changed; look at it, move it away (mv ${path} ${path}.old), and run this again`,
  );
}
