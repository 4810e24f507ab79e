import { openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Channel, socketPair } from '../../src/msg/channel.js';
import type { SluiceError } from '../../src/msg/errors.js';
import { Fd } from '../../src/msg/fd.js';
import { PROTOCOL_VERSION } from '../../src/msg/protocol.js';
import { AgentChannel, type AgentEvents } from '../../src/parent/agent-channel.js';
import { Poller } from '../../src/parent/poller.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { openFds, pipe } from './support/socketpair.js';

const cleanup = perTest();
const DEADLINE_MS = 15_000;

/** What an agent of the version after this one says of its own accord. */
const OF_THE_FUTURE = [
  { type: 'shed', counts: { tooOld: 1 } },
  { type: 'refused', id: 'one', flows: [], client: null },
  { type: 'resolve', ports: [1, 2] },
  { type: 'weather', is: 'fine' },
  { type: 'stats', request: 1, stats: 'none' },
  { type: 7 },
  {},
  [1, 2],
];

/** A channel and its other end, where the test is the agent. */
function started() {
  const poller = new Poller();
  cleanup.defer(() => poller.close());
  const [ours, theirs] = socketPair();
  const agent = new Channel(theirs);
  cleanup.defer(() => agent.close());
  const heard: unknown[] = [];
  const closed: SluiceError[] = [];
  const hear = (event: unknown) => void heard.push(event);
  const events: AgentEvents = {
    onGreeted: hear,
    onResolve: hear,
    onReturnPath: hear,
    onSourceLost: hear,
    onShed: hear,
    onRefused: hear,
    onAborted: hear,
    onClosed: (reason) => void closed.push(reason),
  };
  const channel = new AgentChannel(poller, new Channel(ours), events);
  cleanup.defer(() => channel.close(new Error('over') as SluiceError));
  const asked: { readonly type: string; readonly request: number }[] = [];
  /** The next request that the agent gets after those before. */
  const next = () =>
    until(
      () => {
        for (const { message } of agent.receive()) asked.push(message as (typeof asked)[0]);
        return asked.shift();
      },
      DEADLINE_MS,
      'a request',
    );
  return { channel, agent, heard, closed, next, asked };
}

test('an agent that can not be listened to is given up with the reason', async () => {
  const poller = new Poller();
  cleanup.defer(() => poller.close());
  // The kernel refuses to watch a file, as it refuses any socket once a user watches too many.
  const file = new Fd(openSync('/dev/null', 'r'));
  const reasons: SluiceError[] = [];
  const channel = new AgentChannel(poller, new Channel(file), {
    onGreeted: () => {},
    onResolve: () => {},
    onReturnPath: () => {},
    onSourceLost: () => {},
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

test.each([PROTOCOL_VERSION - 1, PROTOCOL_VERSION + 1])(
  'an agent of version %d is heard of what is the same in all versions, and asked for nothing else',
  async (version) => {
    const { channel, agent, heard, closed, next, asked } = started();
    await next();
    agent.send({ type: 'hello', version, pid: 1, transports: ['tcp', 'quic'], mood: 'good' });
    await until(() => heard.length > 0, DEADLINE_MS, 'the greeting');
    const [readEnd, writeEnd] = pipe();
    const before = openFds();
    for (const message of OF_THE_FUTURE) agent.send(message);
    agent.send({ type: 'gift', fds: 2 }, [readEnd.number, writeEnd.number]);
    const refusal = { code: 'ERR_PROTOCOL_VERSION' };
    await expect(channel.request({ type: 'stats' })).rejects.toMatchObject(refusal);
    await expect(channel.request({ type: 'portStats', after: 0 })).rejects.toMatchObject(refusal);
    channel.answer(1, { targets: [], isProxied: false, isDualStack: false });

    const ports: object[] = [];
    const back = channel.request({ type: 'takeBack' }, [], (port) => ports.push(port));
    const { type, request } = await next();
    expect(type).toBe('takeBack');
    agent.send({ type: 'port', request, id: 1, spec: '{}', fds: 1, since: 'May' }, [
      readEnd.number,
    ]);
    agent.send({ type: 'done', request });
    expect(await back).toEqual({ type: 'done', request });
    expect(ports).toMatchObject([{ id: 1, spec: '{}' }]);
    for (const { sockets } of ports as { sockets: Fd[] }[]) sockets.forEach((fd) => fd.close());
    const drained = channel.request({ type: 'drain', limitMs: 1 });
    agent.send({ type: 'failed', request: (await next()).request, code: 'ERR_X', message: 'no' });
    await expect(drained).rejects.toMatchObject({ code: 'ERR_X', message: 'no' });
    expect(openFds()).toBe(before);
    expect(heard).toHaveLength(1);
    expect(asked).toEqual([]);
    expect(closed).toEqual([]);
    for (const end of [readEnd, writeEnd]) end.close();
  },
);

test('an agent of this version that says something else is given up', async () => {
  const { agent, closed } = started();
  agent.send({ type: 'hello', version: PROTOCOL_VERSION, pid: 1, transports: [] });
  agent.send({ type: 'weather', is: 'fine' });
  await until(() => closed.length > 0, DEADLINE_MS, 'the end');
  expect(closed).toMatchObject([{ code: 'ERR_AGENT_CHANNEL' }]);
});

test('of long answers one is asked for at a time, and others do not wait for them', async () => {
  const { channel, agent, next, asked } = started();
  await next();
  const answers = [1, 2, 3].map((id) => channel.request({ type: 'flows', id, most: 1 }));
  const stats = channel.request({ type: 'takeBack' });
  const both = [await next(), await next()];
  expect(both.map(({ type }) => type).toSorted()).toEqual(['flows', 'takeBack']);
  for (const { request } of both) agent.send({ type: 'done', request });
  await Promise.all([stats, answers[0]]);
  const second = await next();
  expect(asked).toEqual([]);
  channel.close(new Error('over') as SluiceError);
  const outcomes = await Promise.allSettled(answers.slice(1));
  expect(second.type).toBe('flows');
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
