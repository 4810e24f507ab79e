import { chmodSync } from 'node:fs';
import { userInfo } from 'node:os';
import { expect, it } from 'vitest';
import { rootlesskit, tool } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startApi } from '../unit/support/api.js';

const IN_USER_NAMESPACE = ['unshare', '--user', '--map-auto', '--map-root-user'];
const AS_ANOTHER = ['setpriv', '--reuid=1', '--regid=1', '--clear-groups'];

// Other users are this one's subordinate ids, as for rootlesskit.
describeWith([rootlesskit(2), tool('curl')], 'the API, its socket open to everybody', () => {
  const cleanup = perTest();

  async function ask(prefix: readonly string[], ...args: readonly string[]): Promise<string> {
    const { socketPath, stateDir } = await startApi(cleanup);
    chmodSync(stateDir, 0o711);
    chmodSync(socketPath, 0o666);
    const url = 'http://x/v1/ports';
    return run([...prefix, 'curl', '-sS', '--unix-socket', socketPath, url, ...args]);
  }

  it('answers its own user from another user namespace, as dockerd asks', async () => {
    expect(await ask(IN_USER_NAMESPACE)).toBe('[]');
  });

  it.each([[[]], [['-X', 'POST', '-d', '{}']]])('refuses another user: curl %j', async (args) => {
    const answer = await ask([...IN_USER_NAMESPACE, ...AS_ANOTHER], ...args);
    const { message } = JSON.parse(answer) as { message: string };
    expect(message).toMatch(
      new RegExp(`^user \\d+ may not use this socket: it is for user ${userInfo().uid} alone$`),
    );
  });
});
