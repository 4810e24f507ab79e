import { homedir } from 'node:os';
import { join } from 'node:path';
import { type TestProjectConfiguration, defineConfig } from 'vitest/config';

const setupFiles = ['test/harness/setup.ts'];

const here: TestProjectConfiguration[] = [
  {
    extends: true,
    test: { name: 'unit', include: ['test/unit/**/*.test.ts'], setupFiles },
  },
  {
    extends: true,
    test: {
      name: 'namespaces',
      include: ['test/namespaces/**/*.test.ts'],
      setupFiles,
      // Real programs on a machine with few cores: one file after the other, after the units.
      fileParallelism: false,
      sequence: { groupOrder: 1 },
    },
  },
];

// In the machine of scripts/test/machine/boot.sh, whose processor is slow: one process for all.
const inEmulatedMachine: TestProjectConfiguration[] = [
  {
    extends: true,
    test: {
      name: 'sctp',
      include: ['test/sctp/**/*.test.ts', 'test/namespaces/sctp-refusal.test.ts'],
      setupFiles,
      isolate: false,
      fileParallelism: false,
      // On an emulated processor, beside the other suites: a start of Node takes up to ten seconds.
      testTimeout: 600_000,
      hookTimeout: 600_000,
    },
  },
];

export default defineConfig({
  // Not in node_modules, which may belong to another user.
  cacheDir: join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'sluice-test'),
  test: {
    pool: 'forks',
    reporters: ['default', './test/harness/reporter.ts'],
    // Units start programs, too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: process.env['SLUICE_TEST_MACHINE'] === 'emulated' ? inEmulatedMachine : here,
  },
});
