import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import { encodeFrame, FrameDecoder, MAX_FRAME_BYTES } from '../../src/msg/frame.js';
import { rawFrame } from './support/socketpair.js';

const MESSAGE = {
  type: 'addPort',
  request: 1,
  fds: 2,
  port: { id: 4_294_967_296, proto: 'tcp', dial: [{ ip: '::1', port: 80 }] },
};

/** What msgpack carries unchanged. */
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => ({ value: noNegativeZero(value) }));

/** Everything that comes out for the chunks, one after the other. */
function decodeAll(chunks: readonly Uint8Array[]): unknown[] {
  const decoder = new FrameDecoder();
  const messages = chunks.flatMap((chunk) => [...decoder.push(chunk)]);
  expect(decoder.isAtBoundary).toBe(true);
  return messages;
}

describe('frames', () => {
  test('come through when they are cut in two at any byte', () => {
    const frame = encodeFrame(MESSAGE);
    for (let at = 0; at <= frame.length; at++) {
      expect(decodeAll([frame.subarray(0, at), frame.subarray(at)])).toEqual([MESSAGE]);
    }
  });

  test('come through byte by byte, the boundaries known', () => {
    const decoder = new FrameDecoder();
    const frame = encodeFrame(MESSAGE);
    frame.forEach((byte, index) => {
      const isLast = index === frame.length - 1;
      expect([...decoder.push(Uint8Array.of(byte))]).toEqual(isLast ? [MESSAGE] : []);
      expect(decoder.isAtBoundary).toBe(isLast);
    });
  });

  test('come through in any number of pieces of any size', () => {
    const cuts = fc.array(fc.nat(4096));
    fc.assert(
      fc.property(fc.array(json, { maxLength: 5 }), cuts, (messages, offsets) => {
        const stream = Buffer.concat(messages.map(encodeFrame));
        const at = [0, ...offsets, stream.length].map((cut) => Math.min(cut, stream.length));
        const sorted = at.toSorted((a, b) => a - b);
        const chunks = sorted.map((start, index) => stream.subarray(start, sorted[index + 1]));
        expect(decodeAll(chunks)).toEqual(messages);
      }),
    );
  });

  test('may be as long as the limit and no longer', () => {
    // The map's header takes 3 bytes, the key 5, the header of a text of over 64 KiB 5.
    const longest = { text: 'x'.repeat(MAX_FRAME_BYTES - 13) };
    expect(encodeFrame(longest).length).toBe(4 + MAX_FRAME_BYTES);
    expect(decodeAll([encodeFrame(longest)])).toEqual([longest]);
    expect(() => encodeFrame({ text: `${longest.text}x` })).toThrow(
      `message of ${MAX_FRAME_BYTES + 1} bytes is over the limit of ${MAX_FRAME_BYTES}`,
    );
  });
});

describe('a stream that can’t be trusted', () => {
  test.each([
    ['a frame of no bytes', rawFrame(''), 'ERR_FRAME_SIZE', /^frame of 0 bytes; expected 1 to/],
    [
      'a frame over the limit, before its bytes are there',
      Buffer.from([1, 0, 16, 0]),
      'ERR_FRAME_SIZE',
      /^frame of 1048577 bytes; expected 1 to 1048576$/,
    ],
    [
      'another protocol',
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      'ERR_FRAME_SIZE',
      /^frame of 542393671 bytes;/,
    ],
    ['a byte that msgpack doesn’t use', rawFrame('\xc1'), 'ERR_FRAME', /^frame is not msgpack: /],
    ['more than one value in a frame', rawFrame('\x01\x02'), 'ERR_FRAME', /^frame is not msgpack/],
    ['a value that is cut', rawFrame([0x93, 1, 2].join('')), 'ERR_FRAME', /^frame is not msgpack/],
    [
      'lists in lists without end',
      rawFrame(Buffer.alloc(MAX_FRAME_BYTES, 0x91)),
      'ERR_FRAME',
      /^frame is not msgpack/,
    ],
    [
      // ext 0x69 gives the list the id 1, ext 0x70 puts the list with the id 1 into it.
      'a value that holds itself',
      rawFrame(Buffer.from('d6690000000191d67000000001', 'hex')),
      'ERR_FRAME',
      /^frame is not msgpack: Structured clone extension is disabled$/,
    ],
  ])('is refused: %s', (_, bytes, code, message) => {
    const decode = () => [...new FrameDecoder().push(bytes)];
    expect(decode).toThrow(SluiceError);
    expect(decode).toThrow(expect.objectContaining({ code }));
    expect(decode).toThrow(message);
  });

  test('yields the messages before the bad one', () => {
    const messages = new FrameDecoder().push(Buffer.concat([encodeFrame(MESSAGE), rawFrame('')]));
    expect(messages.next().value).toEqual(MESSAGE);
    expect(() => messages.next()).toThrow('frame of 0 bytes');
  });

  test('yields values or a SluiceError, whatever the bytes of a frame are', () => {
    const bodies = fc.uint8Array({ minLength: 1, maxLength: 64, size: 'max' });
    fc.assert(
      fc.property(bodies, (body) => {
        const decode = () => [...new FrameDecoder().push(rawFrame(body))].length;
        expect(resultOf(decode)).toSatisfy(
          (result) => result === 1 || result instanceof SluiceError,
        );
      }),
      { numRuns: 5000 },
    );
  });
});

/** JSON.parse makes it, msgpack makes it 0. */
function noNegativeZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function resultOf(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return error;
  }
}
