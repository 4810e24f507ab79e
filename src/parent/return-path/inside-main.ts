/**
 * A program of its own, in the child's namespaces: prints whether the target's replies come back. Its
 * argument is the question. Streams of Node would take a tenth of its processor time.
 */
import { writeSync } from 'node:fs';
import { messageOf } from '../../msg/errors.js';
import { findInside } from './find.js';
import type { Question } from './return-path.js';

try {
  const question = JSON.parse(process.argv[2] ?? '') as Question;
  writeSync(1, JSON.stringify(findInside(question)));
} catch (error) {
  writeSync(2, `${messageOf(error)}\n`);
  process.exitCode = 1;
}
