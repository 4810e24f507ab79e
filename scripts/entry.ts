#!/usr/bin/env node
/**
 * What Node.js starts for each program: bundle.ts makes a file of this for each, beside its code.
 *
 * The code is read through by V8 at every start, which takes 16 ms for the driver's and 2 with what
 * parent/code-cache.ts has kept of an earlier time. V8 itself turns down what another version of it
 * made, or other flags; the code's name changes with its content.
 */
import './check-node.cjs';
import { readFileSync } from 'node:fs';
import { compile } from '../src/msg/program-code.js';

/** The name of the file with the code, without `.js`. */
declare const CODE: string;

const path = `${__dirname}/${CODE}`;
const run = compile(path, kept()).runInThisContext() as (...args: unknown[]) => void;
run(exports, require, module, `${path}.js`, __dirname);

function kept(): Buffer | undefined {
  try {
    return readFileSync(`${path}.cache`);
  } catch {
    return undefined;
  }
}
