import { afterAll, afterEach, describe } from 'vitest';
import { Cleanup } from './cleanup.js';
import type { Need } from './needs.js';

/** Undone after each test of the file or `describe` that it is called in, failed ones included. */
export function perTest(): Cleanup {
  const cleanup = new Cleanup();
  afterEach(() => cleanup.run());
  return cleanup;
}

/** Undone at the end of the file or `describe` that it is called in. */
export function perSuite(): Cleanup {
  const cleanup = new Cleanup();
  afterAll(() => cleanup.run());
  return cleanup;
}

/** `describe`, skipped where the machine lacks something; its name then says what. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const missing = [...new Set(needs.flatMap((need) => need() ?? []))];
  const declare = missing.length === 0 ? describe : describe.skip;
  declare(missing.length === 0 ? name : `${name} [lacks ${missing.join('; ')}]`, body);
}
