import { appendFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Names what was skipped, at the end, where it is read, and fails a run in CI for it. Adds a
 * line "PASSED FAILED" to the file of SLUICE_TEST_COUNTS for scripts/test.sh.
 */
export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const inState = (state: string) => tests.filter((test) => test.result().state === state);
    const skipped = inState('skipped');
    const strict = process.env['CI'] === 'true';

    for (const test of skipped) console.error(`NOT RUN: ${test.fullName}`);
    if (skipped.length > 0 && strict) {
      console.error('CI=true: a test that is not run is a failure');
      process.exitCode = 1;
    }

    // A file that fails outside its tests, by an import or a hook, is one failure.
    const brokenSuites = modules.flatMap((module) => [
      ...module.errors(),
      ...[...module.children.allSuites()].flatMap((suite) => suite.errors()),
    ]);
    const failed =
      inState('failed').length +
      brokenSuites.length +
      unhandledErrors.length +
      (strict ? skipped.length : 0);
    const file = process.env['SLUICE_TEST_COUNTS'];
    if (file) appendFileSync(file, `${inState('passed').length} ${failed}\n`);
  }
}
