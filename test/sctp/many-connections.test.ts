/** Here, where root sets the limits, a process may have as many open files as that takes. */
import { expect, it } from 'vitest';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { holdMany } from '../namespaces/overload-support.js';

/** Some 200,000 system calls of the test's own, each of which is slow here. */
const TIMEOUT_MS = 600_000;

describeWith([userNamespaces], 'an agent with much to do', () => {
  const cleanup = perTest();

  it(
    'holds 20000 connections at a time, and nothing of them afterwards',
    async () => {
      expect(await holdMany(cleanup)).toEqual({ flows: 20_000, shed: 0, pipes: 0 });
    },
    TIMEOUT_MS,
  );
});
