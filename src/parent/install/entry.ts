/** A file or link of an installation, and what is on the disk in its place. */
import { lstatSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as z from 'zod';
import { messageOf, SluiceError } from '../../msg/errors.js';

export const entrySchema = z.union([
  z.object({ path: z.string(), text: z.string() }),
  z.object({ path: z.string(), target: z.string() }),
]);

export type Entry = z.infer<typeof entrySchema>;

/** Undefined where there is nothing; a folder and the like is an entry that equals no other. */
export function onDisk(path: string): Entry | 'other' | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (stat.isSymbolicLink()) return { path, target: readlinkSync(path) };
  return stat.isFile() ? { path, text: readFileSync(path, 'utf8') } : 'other';
}

export function equal(a: Entry | 'other' | undefined, b: Entry): boolean {
  return a !== undefined && a !== 'other' && JSON.stringify(a) === JSON.stringify(b);
}

/** Its folder must be there. @throws SluiceError ERR_INSTALL_WRITE */
export function put(entry: Entry): void {
  attempt('write', entry.path, () => {
    rmSync(entry.path, { force: true });
    if ('text' in entry) writeFileSync(entry.path, entry.text);
    else symlinkSync(entry.target, entry.path);
  });
}

/** @throws SluiceError ERR_INSTALL_WRITE */
export function remove(path: string): void {
  attempt('remove', path, () => rmSync(path, { force: true }));
}

/** @throws SluiceError ERR_INSTALL_WRITE */
export function attempt(verb: string, path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new SluiceError(
      'ERR_INSTALL_WRITE',
      `cannot ${verb} ${path}: ${messageOf(error)}; see who owns the folders on the way`,
      { cause: error },
    );
  }
}
