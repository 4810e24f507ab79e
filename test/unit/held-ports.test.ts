/** The launcher's duplicates of sockets, and the link by which a driver gives them. */
import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { socketPair } from '../../src/msg/channel.js';
import { Fd, must } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import type { Spec } from '../../src/msg/port.js';
import { HeldPorts } from '../../src/parent/launcher/held-ports.js';
import { LauncherLink } from '../../src/parent/launcher/launcher-link.js';
import { Poller } from '../../src/parent/poller.js';
import { perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 30_000;
const SPEC: Spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 80, childPort: 80 };

describe('a launcher and its driver', () => {
  const cleanup = perTest();
  let held: HeldPorts;
  let link: LauncherLink;
  let ends: number;
  let socket: Fd;
  let peer: Fd;

  beforeEach(() => {
    held = new HeldPorts();
    const poller = new Poller();
    ends = 0;
    const own = new Fd(must(libc.dup(held.link.number), 'dup'));
    link = new LauncherLink(own, poller, { onEnd: () => ends++, ring: () => {} });
    [socket, peer] = socketPair();
    cleanup.defer(async () => {
      await poller.close();
      own.close();
      held[Symbol.dispose]();
      socket.close();
      peer.close();
    });
  });

  const ids = () => held.inheritance().inherited.ports.map(({ id }) => id);
  /** Whether somebody has the other end of the pair. */
  const isKept = () => libc.send(peer.number, libc.allocate(4096).address, 1, 0x4000) === 1;

  it('keep a port’s sockets from the answer on', () => {
    link.added({ id: 4, spec: SPEC }, [socket.number]);
    // As if the driver had been killed now.
    socket.close();
    held.take();
    expect(isKept()).toBe(true);
    const { fds, inherited } = held.inheritance();
    expect(fds).toHaveLength(1);
    expect(inherited).toEqual({
      lastId: 4,
      ports: [{ id: 4, spec: JSON.stringify(SPEC), fds: [6] }],
    });
  });

  it('have no socket of a port that was removed, and remember its id', async () => {
    link.added({ id: 4, spec: SPEC }, [socket.number]);
    const removed = link.removed(4);
    socket.close();
    held.take();
    await removed;
    expect(isKept()).toBe(false);
    expect(held.inheritance()).toEqual({ fds: [], inherited: { lastId: 4, ports: [] } });
  });

  it('agree in the end when the launcher did not read for long', async () => {
    for (let id = 1; id <= 1000; id++) link.added({ id, spec: SPEC }, [socket.number]);
    const removed = [2, 999].map((id) => link.removed(id));
    const isDone = async () => {
      held.take();
      await setImmediate();
      return ids().length === 998;
    };
    await until(isDone, DEADLINE_MS, 'all messages');
    await Promise.all(removed);
    expect(ids()).toEqual(
      Array.from({ length: 1000 }, (_, index) => index + 1).filter((id) => id !== 2 && id !== 999),
    );
  });

  it('end by a message', async () => {
    held.end();
    expect(await until(() => ends === 1, DEADLINE_MS, 'the end')).toBe(true);
  });

  it('go on without each other', async () => {
    held[Symbol.dispose]();
    link.added({ id: 1, spec: SPEC }, [socket.number]);
    await link.removed(1);
    expect(ends).toBe(0);
  });
});
