import { unlinkSync } from 'node:fs';

/** Where it is there and can be removed: what can't be is no reason to fail. */
export function removeFile(path: string): void {
  try {
    // rmSync would load what whole folders take.
    unlinkSync(path);
  } catch {}
}
