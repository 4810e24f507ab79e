import { openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Channel } from '../../src/msg/channel.js';
import type { SluiceError } from '../../src/msg/errors.js';
import { Fd } from '../../src/msg/fd.js';
import { AgentChannel } from '../../src/parent/agent-channel.js';
import { Poller } from '../../src/parent/poller.js';
import { perTest } from '../harness/suite.js';

const cleanup = perTest();

test('an agent that can not be listened to is given up with the reason', async () => {
  const poller = new Poller();
  cleanup.defer(() => poller.close());
  // The kernel refuses to watch a file, as it refuses any socket once a user watches too many.
  const file = new Fd(openSync('/dev/null', 'r'));
  const reasons: SluiceError[] = [];
  const channel = new AgentChannel(poller, new Channel(file), {
    onGreeted: () => {},
    onResolve: () => {},
    onShed: () => {},
    onRefused: () => {},
    onAborted: () => {},
    onClosed: (reason) => reasons.push(reason),
  });
  expect(reasons).toMatchObject([
    { code: 'ERR_AGENT_CHANNEL', message: 'epoll_ctl failed: EPERM' },
  ]);
  expect(file.isOpen).toBe(false);
  await expect(channel.request({ type: 'stats' })).rejects.toBe(reasons[0]);
});
