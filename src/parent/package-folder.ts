import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where this package is: the nearest folder above this code with what every package has once. */
export const PACKAGE_FOLDER = nearest(import.meta.dirname);

/** The path of a program of this package, such as `child/main.js`. */
export function programPath(name: string): string {
  return join(PACKAGE_FOLDER, 'dist/programs', name);
}

function nearest(folder: string): string {
  return existsSync(join(folder, 'LICENSE')) ? folder : nearest(dirname(folder));
}
