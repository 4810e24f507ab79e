/**
 * koffi, as it is where npm has put its native part for this machine beside it. Its own way there
 * reads the platform out of Node's executable and looks at a dozen files: a quarter of the time that
 * a small program takes to start.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

type Koffi = typeof import('koffi');

/** Whose calls libc.ts uses. */
const MAJOR = '3.';
const NATIVE_PART = `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;

export const koffi = nativePart(import.meta.dirname) ?? koffiItself();

function nativePart(folder: string): Koffi | undefined {
  const file = join(folder, NATIVE_PART);
  if (existsSync(file)) return loaded(file);
  const above = dirname(folder);
  return above === folder ? undefined : nativePart(above);
}

function loaded(file: string): Koffi | undefined {
  const module = { exports: {} as Koffi };
  try {
    process.dlopen(module, file);
  } catch {
    // For another libc, perhaps: koffi says what is wrong.
    return undefined;
  }
  return module.exports.version.startsWith(MAJOR) ? module.exports : undefined;
}

function koffiItself(): Koffi {
  const require = createRequire(join(import.meta.dirname, 'koffi.js'));
  return (require('koffi') as { default: Koffi }).default;
}
