import { readFileSync } from 'node:fs';
import { z } from 'zod';

// The same distance from src/parent/api and from dist/parent/api.
const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');

/** The package's own version. */
export const VERSION = z.object({ version: z.string() }).parse(JSON.parse(manifest)).version;
