/** What parent and agent say to each other: frames, and the messages in them. */
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { encodeFrame, FrameDecoder } from '../../src/msg/frame.js';
import { CONNECT_BUCKETS_MS } from '../../src/msg/port-stats.js';
import { parseToAgent, parseToParent, PROTOCOL_VERSION } from '../../src/msg/protocol.js';
import { damaged, damagedBytes } from './garbage.js';
import { must, outcome, targetOf } from './target.js';

const HELLO = { type: 'hello', version: PROTOCOL_VERSION, pid: 4711 };
const ADDRESS = { ip: '172.17.0.2', port: 80 };
const SOURCE_LOST = { disabled: 1, loopback: 2, family: 3, overlap: 4, refused: 5 };
const TRANSPORT = {
  flows: 2,
  accepted: 3,
  refused: 4,
  shed: 5,
  sourceKept: 7,
  sourceLost: SOURCE_LOST,
  drops: { oversized: 6 },
};
const COUNTS = { files: 1, systemFiles: 2, memory: 3, watches: 4, maxFlows: 5, maxFlowsPerPort: 6 };

const PORT_STATS = {
  id: 3,
  flows: 1,
  accepted: 2,
  refused: 3,
  shed: 4,
  bytesIn: 5,
  bytesOut: 6,
  packetsIn: 7,
  packetsOut: 8,
  drops: { queueFull: 9 },
  connects: [...CONNECT_BUCKETS_MS, 0].map(() => 1),
  connectMicros: 10,
};

const MESSAGES: readonly object[] = [
  HELLO,
  {
    type: 'addPort',
    request: 1,
    fds: 2,
    port: { id: 3, proto: 'tcp', dial: [ADDRESS], mayHaveRule: true },
  },
  { type: 'removePort', request: 2, id: 3 },
  { type: 'stats', request: 3 },
  { type: 'limits', request: 4, limits: { maxFlows: 0, maxFlowsPerPort: 9 } },
  { type: 'udpTimeouts', request: 4, timeouts: { unrepliedMs: 30_000, repliedMs: 180_000 } },
  { type: 'sourceFamilies', request: 4, families: { ipv4: true, ipv6: false } },
  { type: 'targets', id: 3, targets: [ADDRESS], isProxied: true, isDualStack: false },
  { type: 'done', request: 1 },
  { type: 'failed', request: 1, code: 'ERR_PORT_ID', message: 'there is no port 3' },
  { type: 'resolve', id: 3 },
  { type: 'shed', counts: COUNTS },
  { type: 'refused', id: 3, flows: 2, client: { ip: '198.51.100.7', port: 0 } },
  { type: 'aborted', id: 3, flows: 2, reason: 'stream' },
  { type: 'portStats', request: 5, after: 0 },
  { type: 'portStats', request: 5, ports: [PORT_STATS] },
  { type: 'stats', request: 2, stats: { ports: 1, pipes: 6, transports: { udp: TRANSPORT } } },
];

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
