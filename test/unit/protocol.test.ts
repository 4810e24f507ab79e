import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PortCounters } from '../../src/child/counters.js';
import { SluiceError } from '../../src/msg/errors.js';
import { MAX_FLOWS } from '../../src/msg/flows.js';
import { encodeFrame, FrameDecoder } from '../../src/msg/frame.js';
import {
  checkVersion,
  fdsOf,
  MAX_FDS_PER_MESSAGE,
  parseToAgent,
  parseToParent,
  PROTOCOL_VERSION,
  type ToAgent,
  type ToParent,
} from '../../src/msg/protocol.js';
import { count } from '../../src/parent/api/count.js';
import { added } from '../../src/parent/totals.js';
import { ADD_PORT, FLOW, HELLO, TO_AGENT, TO_PARENT } from './support/messages.js';
import { rawFrame } from './support/socketpair.js';

const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
});

describe.each([
  ['to the agent', parseToAgent, TO_AGENT],
  ['to the parent', parseToParent, TO_PARENT],
] as const)('messages %s', (_, parse, given) => {
  const messages: readonly (ToAgent | ToParent)[] = given;

  test.each(messages)('$type comes back as it was sent', (message) => {
    const [received] = new FrameDecoder().push(encodeFrame(message));
    expect(parse(received)).toEqual(message);
  });

  test('are refused with a SluiceError and nothing else, whatever came', () => {
    fc.assert(fc.property(anything, (value) => !foreignError(() => parse(value))));
    expect(() => parse(undefined)).toThrow(SluiceError);
  });

  test('are refused with a SluiceError and nothing else, whatever one field is', () => {
    const paths = messages.flatMap((message) =>
      pathsOf(message).map((path) => ({ message, path })),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...paths),
        anything,
        ({ message, path }, value) => !foreignError(() => parse(withField(message, path, value))),
      ),
      { numRuns: 2000 },
    );
    expect(() => parse({ ...HELLO, pid: 1n })).toThrow(SluiceError);
  });

  test('are refused with a SluiceError and nothing else, whatever bytes a field has', () => {
    const type = Buffer.from('\x81\xa4type', 'latin1');
    const parseRaw = (bytes: Uint8Array) => {
      const frame = rawFrame(Buffer.concat([type, bytes]));
      for (const message of new FrameDecoder().push(frame)) parse(message);
    };
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 40, size: 'max' }),
        (bytes) => !foreignError(() => parseRaw(bytes)),
      ),
      { numRuns: 5000 },
    );
    // 2 to the power of 70, msgpackr's extension for what 64 bits don't hold.
    const bigint = Buffer.from('c70942400000000000000000', 'hex');
    expect(() => parseRaw(bigint)).toThrow('type is a bigint');
  });
});

describe('a refusal names the field, its value and what was expected', () => {
  const { port } = ADD_PORT;
  const refusals: readonly (readonly [unknown, string])[] = [
    [null, 'message is null, expected a map'],
    [[HELLO], 'message is a list of 1, expected a map'],
    [{}, 'type is undefined, expected a message type of this protocol version'],
    [{ type: 'reboot' }, 'type is "reboot", expected a message type of this protocol version'],
    [{ ...HELLO, pid: 0 }, 'pid is 0, expected an integer from 1 to 9007199254740991'],
    [
      { ...HELLO, pid: 2n ** 70n },
      'pid is a bigint, expected an integer from 1 to 9007199254740991',
    ],
    [{ ...ADD_PORT, fds: 0 }, 'fds is 0, expected an integer from 1 to 16'],
    [{ ...ADD_PORT, fds: MAX_FDS_PER_MESSAGE + 1 }, 'fds is 17, expected an integer from 1 to 16'],
    [
      { ...ADD_PORT, request: 1.5 },
      'request is 1.5, expected an integer from 0 to 9007199254740991',
    ],
    [{ ...ADD_PORT, port: 'x'.repeat(500) }, `port is "${'x'.repeat(80)}", expected a map`],
    [
      { ...ADD_PORT, port: { ...port, dial: [] } },
      'dial is a list of 0, expected 1 to 16 addresses',
    ],
    [
      { ...ADD_PORT, port: { ...port, dial: [{ ip: 'localhost', port: 80 }] } },
      'ip is "localhost", expected an IPv4 or IPv6 address',
    ],
    [
      { ...ADD_PORT, port: { ...port, dial: [{ ip: '::1', port: 65536 }] } },
      'port is 65536, expected an integer from 1 to 65535',
    ],
    [
      { type: 'flows', request: 1, id: 1, most: MAX_FLOWS + 1 },
      'most is 1001, expected an integer from 1 to 1000',
    ],
    [
      { ...ADD_PORT, port: { ...port, proto: 'icmp' } },
      'proto is "icmp", expected one of tcp, tcp4, tcp6, udp, udp4, udp6, sctp, sctp4, sctp6',
    ],
  ];

  test.each(refusals.map(([message, text]) => ({ message, text })))('$text', (row) => {
    const { message, text } = row;
    expect(() => parseToAgent(message)).toThrow(
      new SluiceError('ERR_MESSAGE', `invalid message: ${text}`),
    );
  });

  test('of another protocol version: with the remedy', () => {
    const { version } = HELLO;
    expect(() => checkVersion({ ...HELLO, version })).not.toThrow();
    expect(() => checkVersion({ ...HELLO, version: version + 1 })).toThrow(
      `the other side speaks protocol version ${PROTOCOL_VERSION + 1}, this one ${PROTOCOL_VERSION}; ` +
        'run `sluice reload` so that parent and agent come from one installation',
    );
  });
});

test('as many of the longest flows as there may be fit into a frame', () => {
  const flows = Array.from({ length: MAX_FLOWS }, () => FLOW);
  const message = { type: 'flows', request: 1, total: MAX_FLOWS, flows } as const;
  const [received] = new FrameDecoder().push(encodeFrame(message));
  expect(parseToParent(received)).toEqual(message);
  expect(() => parseToParent({ ...message, flows: [...flows, FLOW] })).toThrow(
    'invalid message: flows is a list of 1001, expected at most 1000 flows',
  );
});

test('a flow may come from port 0, and not know its server yet', () => {
  const { server: _, ...known } = FLOW;
  const flows = [{ ...known, client: { ip: '::1', port: 0 } }];
  const message = { type: 'flows', request: 1, total: 1, flows } as const;
  expect(parseToParent(message)).toStrictEqual(message);
});

test('a port may have moved more bytes than a double holds exactly, and is counted on', () => {
  const counters = new PortCounters();
  counters.in.bytes = Number.MAX_SAFE_INTEGER;
  counters.in.bytes += 65_536;
  const ports = [{ stats: counters.stats(1, 0) }];
  const message = { type: 'portStats', request: 1, ports } as const;
  const [received] = new FrameDecoder().push(encodeFrame(message));
  expect(parseToParent(received)).toEqual(message);
  const doubled = added(counters.stats(1, 0), counters.stats(1, 0));
  expect(doubled.bytesIn).toBe(2 ** 54 + 131_070);
  expect(count.parse(doubled.bytesIn)).toBe(doubled.bytesIn);
  for (const none of [-1, 0.5, Infinity, NaN]) {
    expect(count.safeParse(none).success).toBe(false);
    const stats = { ...counters.stats(1, 0), bytesIn: none };
    expect(() => parseToParent({ ...message, ports: [{ stats }] })).toThrow('an integer of 0');
  }
});

test('the number of fds is read from any message, valid or not', () => {
  expect(fdsOf({ type: 'nonsense', fds: 3 })).toBe(3);
  for (const value of [{}, { fds: '3' }, null, undefined, 3, [3]]) expect(fdsOf(value)).toBe(0);
});

/** What it threw that no caller expects. */
function foreignError(body: () => unknown): unknown {
  try {
    body();
    return undefined;
  } catch (error) {
    return error instanceof SluiceError ? undefined : error;
  }
}

/** Every field's path, those of nested maps and lists included. */
function pathsOf(value: object): string[][] {
  return Object.entries(value).flatMap(([key, field]: [string, unknown]) => {
    const nested = typeof field === 'object' && field !== null ? pathsOf(field) : [];
    return [[key], ...nested.map((rest) => [key, ...rest])];
  });
}

function withField(
  message: object,
  [key = '', ...rest]: readonly string[],
  value: unknown,
): object {
  const copy = Object.assign(Array.isArray(message) ? [] : {}, message) as Record<string, unknown>;
  copy[key] = rest.length === 0 ? value : withField(copy[key] as object, rest, value);
  return copy;
}
