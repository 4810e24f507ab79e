import { afterEach, expect, it } from 'vitest';
import { nodeEnvironment, withoutNodeSettings } from '../../src/parent/node-env.js';

const SETTINGS = {
  NODE_OPTIONS: '--inspect',
  NODE_EXTRA_CA_CERTS: '/certificates',
  NODE_DEBUG: 'net',
  UV_THREADPOOL_SIZE: '1',
};
const before = { ...process.env };

afterEach(() => {
  for (const name of Object.keys(SETTINGS)) delete process.env[name];
  Object.assign(process.env, before);
});

it('settings of the user for Node.js reach no process of ours, other variables do', () => {
  Object.assign(process.env, SETTINGS, { SLUICE_TEST_OTHER: 'stays' });
  const { NODE_OPTIONS, ...env } = nodeEnvironment();
  expect(NODE_OPTIONS).toBe('--max-semi-space-size=1 --v8-pool-size=1');
  for (const given of [env, withoutNodeSettings()]) {
    expect(Object.keys(given).filter((name) => name in SETTINGS)).toEqual([]);
    expect(given['SLUICE_TEST_OTHER']).toBe('stays');
  }
  delete process.env['SLUICE_TEST_OTHER'];
});
