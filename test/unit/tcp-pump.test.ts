import { expect, test } from 'vitest';
import { type Pipe, PipePool } from '../../src/child/pipes.js';
import { COPY_BYTES, SlabPool } from '../../src/child/slabs.js';
import { TcpPump } from '../../src/child/tcp/pump.js';
import { socketPair } from '../../src/msg/channel.js';
import * as libc from '../../src/msg/libc.js';
import { must } from '../../src/msg/fd.js';
import { perTest } from '../harness/suite.js';

const cleanup = perTest();
const MESSAGES = 50;

/** Pipes of a user who may have used all of them up. */
class Quota extends PipePool {
  isUsedUp = true;
  borrowed = 0;
  readonly pipes = new Set<Pipe>();

  override take(): Pipe | undefined {
    if (this.isUsedUp) return undefined;
    this.borrowed++;
    const pipe = super.take();
    if (pipe !== undefined) this.pipes.add(pipe);
    return pipe;
  }
}

/** A pump between real sockets: `pass` has it take so many bytes from its source to its sink. */
function started() {
  const sockets = [...socketPair(), ...socketPair()] as const;
  cleanup.defer(() => sockets.forEach((socket) => socket.close()));
  const [client, source, sink, server] = sockets;
  const pipes = new Quota();
  const pump = new TcpPump({ slabs: new SlabPool(), pipes }, { bytes: 0, packets: 0 });
  const memory = libc.allocate(2 * COPY_BYTES);
  const pass = (bytes: number) => {
    expect(libc.send(client.number, memory.address, bytes, 0)).toBe(bytes);
    pump.readable = true;
    expect(pump.run(source.number, sink.number)).toBe('waiting');
    expect(must(libc.recv(server.number, memory.address, 2 * COPY_BYTES, 0), 'recv')).toBe(bytes);
  };
  cleanup.defer(() => {
    pump.release();
    for (const { readEnd, writeEnd } of pipes.pipes) [readEnd, writeEnd].forEach(libc.close);
  });
  return { pipes, pass };
}

test('a stream that began while the user had no pipe left copies small messages afterwards', () => {
  const { pipes, pass } = started();
  for (let buffer = 0; buffer < 10; buffer++) pass(COPY_BYTES);
  pipes.isUsedUp = false;
  for (let message = 0; message < MESSAGES; message++) pass(100);
  expect(pipes.borrowed).toBeLessThanOrEqual(4);
});

test('a stream that ends with a small message while there is no pipe is none afterwards', () => {
  const { pipes, pass } = started();
  for (let buffer = 0; buffer < 10; buffer++) pass(COPY_BYTES);
  pass(1);
  pipes.isUsedUp = false;
  for (let message = 0; message < MESSAGES; message++) pass(100);
  expect(pipes.borrowed).toBe(0);
});
