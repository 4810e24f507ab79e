import { expect, it } from 'vitest';
import { ask } from '../harness/http.js';
import { rootlesskit as needsRootlesskit } from '../harness/needs.js';
import { startRootlesskit } from '../harness/rootlesskit.js';
import { describeWith, perTest } from '../harness/suite.js';

/** The peers as they are without us: what fails here is the machine's fault. */
describeWith([needsRootlesskit(1), needsRootlesskit(2)], 'rootlesskit by itself', () => {
  const cleanup = perTest();

  it.each([
    { major: 1, net: 'slirp4netns', portDriver: 'builtin', flags: [] },
    { major: 2, net: 'slirp4netns', portDriver: 'builtin', flags: [] },
    { major: 2, net: 'slirp4netns', portDriver: 'builtin', flags: ['--detach-netns'] },
    { major: 2, net: 'pasta', portDriver: 'none', flags: [] },
  ] as const)('serves its API: version $major, $net, $portDriver, $flags', async (options) => {
    const { socket, childPid } = await startRootlesskit(cleanup, options);
    const { status, body } = await ask({ socketPath: socket, path: '/v1/info' });

    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ networkDriver: { driver: options.net } });
    expect(childPid).toBeGreaterThan(0);
  });
});
