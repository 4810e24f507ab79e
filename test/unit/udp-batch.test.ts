/** Two UDP ports of one agent, in this process: real sockets, and a parent that goes away. */
import { expect, onTestFinished, test } from 'vitest';
import { AgentPorts } from '../../src/child/ports.js';
import { Reactor } from '../../src/child/reactor.js';
import { Fd } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import { Cleanup } from '../harness/cleanup.js';
import { udpSocket } from '../harness/udp-socket.js';

const HERE = '127.0.0.1';
const DEADLINE_MS = 10_000;
const [HOLDING, FAILING] = [1, 2] as const;

function started() {
  const cleanup = new Cleanup();
  onTestFinished(async () => cleanup.run());
  const reactor = new Reactor();
  const asked = new Set<number>();
  const ports: AgentPorts = new AgentPorts(reactor, {
    resolve: (id) => {
      asked.add(id);
      if (id === HOLDING) return true;
      // The agent does the same when its channel to the parent fails.
      ports.unanswered();
      return false;
    },
    returnPath: () => false,
    sourceLost: () => {},
    shed: () => {},
    refused: () => {},
    aborted: () => {},
  });

  /** A server, and a port that leads there. Each `send` is another client's. */
  const publish = (id: number) => {
    const server = udpSocket(cleanup).bind(HERE);
    const listener = udpSocket(cleanup).bind(HERE);
    const dial = [{ ip: HERE, port: server.port }];
    const socket = new Fd(libc.dup(listener.fd));
    const rules = { mayHaveRule: true, isEngines: false, isShared: false };
    ports.add({ id, proto: 'udp', dial, ...rules, spec: '' }, [socket]);
    const received: string[] = [];
    const receive = () => {
      for (let one = server.tryReceive(); one; one = server.tryReceive())
        received.push(one.bytes.toString());
      return received;
    };
    const send = (text: string) => udpSocket(cleanup).connect(HERE, listener.port).send(text);
    return { send, receive };
  };
  /** Ends the turn with nothing left open. */
  const stop = () => {
    for (const id of [HOLDING, FAILING]) ports.remove(id);
    reactor.stop();
  };
  return { reactor, asked, publish, stop };
}

test('datagrams reach their own server when a question fails in the midst of their batch', () => {
  const { reactor, asked, publish, stop } = started();
  const [holding, failing] = [publish(HOLDING), publish(FAILING)];
  for (const text of ['of b1', 'of b2', 'of b3']) holding.send(text);
  const deadline = performance.now() + DEADLINE_MS;
  let isHeld = false;
  reactor.addClock({
    nextMs: () => 1,
    expire: (now) => {
      if (!isHeld && asked.has(HOLDING)) {
        isHeld = true;
        for (const text of ['of a1', 'of a2']) failing.send(text);
      }
      const count = failing.receive().length + holding.receive().length;
      if (count >= 5 || now > deadline) stop();
    },
  });
  reactor.run();
  expect(failing.receive()).toEqual(['of a1', 'of a2']);
  expect(holding.receive()).toEqual(['of b1', 'of b2', 'of b3']);
});
