/** docs/troubleshooting.md has every error of the program, in the words that users see. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { REPOSITORY } from '../harness/paths.js';

const CODE = /\bERR_[A-Z0-9_]*[A-Z0-9]\b/g;
/** Node.js's own. */
const FOREIGN = ['ERR_CHILD_PROCESS_STDIO_MAXBUFFER'];

const source = readdirSync(join(REPOSITORY, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(REPOSITORY, 'src', name), 'utf8'))
  .join('\n');
const page = readFileSync(join(REPOSITORY, 'docs/troubleshooting.md'), 'utf8');
const sections = page.split(/^## /m);
const reasons = sections.find((section) => section.startsWith("A port that doesn't answer")) ?? '';
/** First cells of the rows with a code, and of a probe's reasons. */
const rows = [...page.split('\n').filter((line) => line.includes('`ERR_')), ...reasons.split('\n')]
  .filter((line) => line.startsWith('|'))
  .map((line) => line.split(' | ')[0] ?? '');

it('has the codes of all errors, and no others', () => {
  // Those of comments and of comparisons are errors as well.
  const thrown = new Set(
    source.match(/'ERR_[A-Z0-9_]*[A-Z0-9]'/g)?.map((code) => code.slice(1, -1)),
  );
  const explained = new Set(page.match(CODE));
  expect([...explained].toSorted()).toEqual(
    [...thrown].filter((code) => !FOREIGN.includes(code)).toSorted(),
  );
});

it('has the messages as they are', () => {
  const messages = rows.flatMap((row) =>
    [...row.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text),
  );
  expect(messages.length).toBeGreaterThan(70);
  const pieces = messages.flatMap((text) => text.split('…')).map((text) => text.trim());
  expect(pieces.filter((piece) => !source.includes(piece))).toEqual([]);
});
