/** What parent and agent say to each other: frames, and the messages in them. */
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { encodeFrame, FrameDecoder } from '../../src/msg/frame.js';
import { parseToAgent, parseToParent } from '../../src/msg/protocol.js';
import { TO_AGENT, TO_PARENT } from '../unit/support/messages.js';
import { damaged, damagedBytes } from './garbage.js';
import { must, outcome, targetOf } from './target.js';

const MESSAGES: readonly object[] = [...TO_AGENT, ...TO_PARENT];

const stream = fc
  .array(fc.constantFrom(...MESSAGES), { minLength: 1, maxLength: 4 })
  .map((messages) => Buffer.concat(messages.map(encodeFrame)));
const cuts = fc.array(fc.nat(), { maxLength: 6 });

/** What comes out before the stream ends or can't be trusted any more. */
function decoded(chunks: readonly Uint8Array[]) {
  const decoder = new FrameDecoder();
  const messages: unknown[] = [];
  const end = outcome(() => {
    for (const chunk of chunks) for (const message of decoder.push(chunk)) messages.push(message);
    return decoder.isAtBoundary;
  });
  return { messages, end };
}

/** The same by a reader that stops after each message, and goes on without more bytes. */
function decodedOneByOne(bytes: Uint8Array) {
  const decoder = new FrameDecoder();
  const messages: unknown[] = [];
  const end = outcome(() => {
    for (let chunk = bytes; ; chunk = new Uint8Array()) {
      const { done, value } = decoder.push(chunk).next();
      if (done) return decoder.isAtBoundary;
      messages.push(value);
    }
  });
  return { messages, end };
}

export const stops = targetOf('frames with stops', damagedBytes(stream), (bytes) => {
  const isSame = isDeepStrictEqual(decoded([bytes]), decodedOneByOne(bytes));
  must(isSame, 'a reader that stops in the middle loses nothing');
});

export const frames = targetOf('frames', fc.tuple(damagedBytes(stream), cuts), ([bytes, at]) => {
  const inOrder = [0, ...at.map((cut) => cut % (bytes.length + 1))].toSorted((a, b) => a - b);
  const chunks = inOrder.map((start, index) => bytes.slice(start, inOrder[index + 1]));
  const [whole, pieces] = [decoded([bytes]), decoded(chunks)];
  must(isDeepStrictEqual(whole, pieces), 'a stream means the same however it is cut');
});

export const messages = targetOf('messages', damaged(MESSAGES), (message) => {
  for (const parse of [parseToAgent, parseToParent]) {
    const first = outcome(() => parse(message));
    if (!('value' in first)) continue;
    const again = parse(new FrameDecoder().push(encodeFrame(first.value)).next().value);
    // As bytes: msgpack knows no -0.
    const isSame = encodeFrame(again).equals(encodeFrame(first.value));
    must(isSame, 'what is taken survives the channel');
  }
});
