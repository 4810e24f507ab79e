import * as fc from 'fast-check';
import { SluiceError } from '../../src/msg/errors.js';

/** One way in for what others wrote, and what must hold whatever it is. */
export interface Target {
  readonly name: string;
  check(run: Run): Promise<Failure | undefined>;
}

/** Which inputs: fast-check makes the same of the same seed, and `path` leads to one of them. */
export interface Run {
  readonly seed: number;
  readonly cases: number;
  readonly path?: string;
}

export interface Failure {
  readonly path: string;
  /** The smallest input that fails, and how. */
  readonly report: string;
}

/** `holds` throws for an input that must not be. */
export function targetOf<T>(
  name: string,
  input: fc.Arbitrary<T>,
  holds: (value: T) => void | Promise<void>,
): Target {
  const property = fc.asyncProperty(input, async (value) => holds(value));
  return {
    name,
    async check({ seed, cases, path }) {
      const options = { seed, numRuns: cases, ...(path !== undefined && { path }) };
      const details = await fc.check(property, options);
      if (!details.failed) return undefined;
      const report = await fc.asyncDefaultReportMessage(details);
      return { path: details.counterexamplePath ?? '0', report: report ?? 'failed' };
    },
  };
}

/** The result, or the code of the SluiceError; whatever else is thrown goes on. */
export function outcome<T>(body: () => T): { value: T } | { code: string } {
  try {
    return { value: body() };
  } catch (error) {
    if (error instanceof SluiceError) return { code: error.code };
    throw error;
  }
}

export function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
