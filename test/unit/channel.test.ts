import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Channel, socketPair } from '../../src/msg/channel.js';
import { Fd } from '../../src/msg/fd.js';
import { encodeFrame, MAX_FRAME_BYTES } from '../../src/msg/frame.js';
import * as libc from '../../src/msg/libc.js';
import {
  MAX_PASSED_FDS,
  openFds,
  pipe,
  rawFrame,
  sendRaw,
  withFreeFds,
} from './support/socketpair.js';

let left: Channel;
let right: Channel;
let before: number;

beforeEach(() => {
  before = openFds();
  const [one, other] = socketPair();
  left = new Channel(one);
  right = new Channel(other);
});

afterEach(() => {
  left.close();
  right.close();
  if (openFds() !== before) throw new Error(`${openFds() - before} fds were left behind`);
});

/** Everything that has arrived; its fds are closed. */
function messagesAt(channel: Channel): unknown[] {
  const messages: unknown[] = [];
  for (const { message, fds } of channel.receive()) {
    for (const fd of fds) fd.close();
    messages.push(message);
  }
  return messages;
}

describe.each([
  ['parent to agent', () => [left, right] as const],
  ['agent to parent', () => [right, left] as const],
])('messages from %s', (_, ends) => {
  test('arrive in their order, each with its own fds', () => {
    const [from, to] = ends();
    const [reader, writer] = pipe();
    from.send({ n: 1 });
    from.send({ n: 2, fds: 2 }, [reader.number, writer.number]);
    from.send({ n: 3, fds: 1 }, [reader.number]);
    from.send({ n: 4 });
    const received = [...to.receive()];
    expect(received.map(({ message, fds }) => [message, fds.length])).toEqual([
      [{ n: 1 }, 0],
      [{ n: 2, fds: 2 }, 2],
      [{ n: 3, fds: 1 }, 1],
      [{ n: 4 }, 0],
    ]);
    // The sender's stay open, and are others than the receiver's.
    for (const fd of [reader, writer]) fd.close();
    for (const fd of received.flatMap(({ fds }) => [...fds])) fd.close();
  });

  test('arrive when the stream is cut at any byte, fds with the first of them', () => {
    const [from, to] = ends();
    const message = { type: 'addPort', fds: 1, text: 'of some length' };
    const frame = encodeFrame(message);
    const [reader, writer] = pipe();
    const socket = new Fd(from.fd);
    for (let at = 1; at < frame.length; at++) {
      sendRaw(socket, frame.subarray(0, at), [reader.number]);
      expect(messagesAt(to)).toEqual([]);
      sendRaw(socket, frame.subarray(at));
      expect(messagesAt(to)).toEqual([message]);
    }
    for (const fd of [reader, writer]) fd.close();
  });

  test('arrive byte by byte', () => {
    const [from, to] = ends();
    const message = { type: 'stats', request: 1 };
    const frame = encodeFrame(message);
    const socket = new Fd(from.fd);
    const received = [...frame].flatMap((byte) => {
      sendRaw(socket, Uint8Array.of(byte));
      return messagesAt(to);
    });
    expect(received).toEqual([message]);
  });

  test('of many times the socket’s buffer wait until there is room', () => {
    const [from, to] = ends();
    const [reader, writer] = pipe();
    const text = 'x'.repeat(MAX_FRAME_BYTES - 100);
    from.send({ text, fds: 1 }, [reader.number]);
    from.send({ last: true, fds: 1 }, [writer.number]);
    expect(from.wantsWrite).toBe(true);
    const received: unknown[] = [];
    while (received.length < 2) {
      received.push(...messagesAt(to));
      from.flush();
    }
    expect(received).toEqual([
      { text, fds: 1 },
      { last: true, fds: 1 },
    ]);
    expect(from.wantsWrite).toBe(false);
    for (const fd of [reader, writer]) fd.close();
  });
});

function frameOf(fields: object): Buffer {
  return encodeFrame({ type: 'addPort', request: 1, ...fields });
}

describe('a hostile peer is refused and leaves no fd behind:', () => {
  test.each([
    ['garbage', Buffer.alloc(64, 0xff), 2, /^frame of 4294967295 bytes; expected 1 to 1048576$/],
    ['a frame of no bytes', rawFrame(''), 1, /^frame of 0 bytes;/],
    ['no msgpack', rawFrame('\xc1'), 1, /^frame is not msgpack: /],
    ['fds without a message', frameOf({}), 2, /^2 fds came without a message$/],
    ['more fds than announced', frameOf({ fds: 1 }), 3, /^2 fds came without a message$/],
    ['fewer fds than announced', frameOf({ fds: 3 }), 2, /^a message announced 3 fds, 2 came/],
    [
      'no fds, but announced',
      frameOf({ fds: 1 }),
      0,
      /^a message announced 1 fds, 0 came with it$/,
    ],
    ['a negative number', frameOf({ fds: -1 }), 2, /^a message announced -1 fds, 2 came with it$/],
    ['half a fd', frameOf({ fds: 0.5 }), 1, /^a message announced 0.5 fds, 1 came with it$/],
    ['no number of fds', frameOf({ fds: NaN }), 1, /^a message announced NaN fds, 1 came with it$/],
    [
      'one fd too many for a message',
      frameOf({ fds: 17 }),
      17,
      /^more than 16 fds came with one message$/,
    ],
    ['all fds that a message can have', frameOf({ fds: 16 }), MAX_PASSED_FDS, /^more than 16 fds/],
  ])('%s', (_, bytes, fds, text) => {
    sendRaw(
      new Fd(left.fd),
      bytes,
      Array.from({ length: fds }, () => 0),
    );
    expect(() => messagesAt(right)).toThrow(text);
  });

  test('a frame cut in the middle, its fds with the first part', () => {
    sendRaw(new Fd(left.fd), frameOf({ fds: 2 }).subarray(0, 9), [0, 0]);
    left.close();
    expect(() => messagesAt(right)).toThrow('the other side closed the channel inside a frame');
    expect(right.ended).toBe(true);
  });

  test('fds that arrive one frame too early', () => {
    // The next frame has begun, so these two may be its own until it turns out that it has none.
    const two = Buffer.concat([frameOf({}), frameOf({})]);
    sendRaw(new Fd(left.fd), two.subarray(0, -1), [0, 0]);
    expect(messagesAt(right)).toHaveLength(1);
    sendRaw(new Fd(left.fd), two.subarray(-1));
    expect(() => messagesAt(right)).toThrow('2 fds came without a message');
  });

  test('fds that nobody reads', () => {
    sendRaw(new Fd(left.fd), frameOf({ fds: 2 }), [0, 0]);
    right.close();
    expect(openFds()).toBe(before + 1);
  });
});

describe('a receiver that is out of fds', () => {
  test.each([0, 1, 2])('hears of three of them when it has room for %i, and goes on', (room) => {
    sendRaw(new Fd(left.fd), encodeFrame({ fds: 3 }), [0, 0, 0]);
    const open = openFds();
    withFreeFds(room, () => {
      expect([...right.receive()]).toEqual([{ message: { fds: 3 }, fds: [], lostFds: true }]);
    });
    expect(openFds()).toBe(open);

    sendRaw(new Fd(left.fd), encodeFrame({ fds: 1 }), [0]);
    const [next] = [...right.receive()];
    expect(next).toMatchObject({ message: { fds: 1 }, lostFds: false });
    for (const fd of next?.fds ?? []) fd.close();
  });
});

describe('a peer that is gone', () => {
  test('is the end of the stream, after what it sent', () => {
    left.send({ last: true });
    left.close();
    expect(messagesAt(right)).toEqual([{ last: true }]);
    expect(right.ended).toBe(true);
    expect(messagesAt(right)).toEqual([]);
  });

  test('is the end of the stream when it left something unread', () => {
    right.send({ unread: true });
    left.close();
    expect(messagesAt(right)).toEqual([]);
    expect(right.ended).toBe(true);
  });

  test.each([
    ['everything read', () => {}],
    ['something unread', () => right.send({ unread: true })],
  ])('takes no error from sending, and nothing is kept for it: %s', (_, prepare) => {
    prepare();
    left.close();
    right.send({ text: 'x'.repeat(1000) });
    expect(right.wantsWrite).toBe(false);
    expect(messagesAt(right)).toEqual([]);
    expect(right.ended).toBe(true);
  });
});

test('a peer that has stopped reading is an error, before memory runs out', () => {
  const big = { text: 'x'.repeat(MAX_FRAME_BYTES - 100) };
  const sendMany = () => {
    for (let count = 0; count < 20; count++) left.send(big);
  };
  expect(sendMany).toThrow(/^\d+ bytes are waiting for the other side, which has stopped reading$/);
});

test('closing twice is harmless, and its number may belong to another by then', () => {
  left.close();
  const [reader, writer] = pipe();
  left.close();
  expect(libc.fcntl(reader.number, 3, 0)).toBeGreaterThanOrEqual(0);
  for (const fd of [reader, writer]) fd.close();
});
