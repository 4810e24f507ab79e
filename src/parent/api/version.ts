import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_FOLDER } from '../package-folder.js';

const manifest = readFileSync(join(PACKAGE_FOLDER, 'package.json'), 'utf8');

/** The package's own version. */
export const VERSION = (JSON.parse(manifest) as { readonly version: string }).version;
