/** Inputs that once failed, by their seeds: every run begins with them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';

const FILE = fileURLToPath(new URL('corpus.json', import.meta.url));
const schema = z.array(z.strictObject({ target: z.string(), seed: z.int(), path: z.string() }));

export type Seed = z.infer<typeof schema>[number];

export function readCorpus(): Seed[] {
  return schema.parse(JSON.parse(readFileSync(FILE, 'utf8')));
}

export function addToCorpus(seed: Seed): void {
  writeFileSync(FILE, `${JSON.stringify([...readCorpus(), seed], null, 2)}\n`);
}
