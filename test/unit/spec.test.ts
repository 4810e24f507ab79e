import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SluiceError } from '../../src/msg/errors.js';
import { PROTOS, type Spec } from '../../src/msg/port.js';
import { formatPortSpec, parsePortSpec, validateSpec } from '../../src/msg/spec.js';

const FORM =
  '[parentIP:]parentPort:[childIP:]childPort/proto, IPv6 addresses in brackets, for example 127.0.0.1:8080:80/tcp';
const PORT_RANGE = 'an integer from 1 to 65535';
const PROTO_LIST = 'one of tcp, tcp4, tcp6, udp, udp4, udp6, sctp, sctp4, sctp6';

function refusal(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    if (error instanceof SluiceError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a port spec as text', () => {
  test.each<[string, Spec]>([
    ['8080:80/tcp', { proto: 'tcp', parentPort: 8080, childPort: 80 }],
    [
      '127.0.0.1:8080:80/tcp',
      { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 },
    ],
    [
      '8080:10.0.0.1:80/udp',
      { proto: 'udp', parentPort: 8080, childIP: '10.0.0.1', childPort: 80 },
    ],
    ['8080:[::1]:80/tcp', { proto: 'tcp', parentPort: 8080, childIP: '::1', childPort: 80 }],
    [
      '0.0.0.0:1:10.0.0.1:65535/tcp4',
      {
        proto: 'tcp4',
        parentIP: '0.0.0.0',
        parentPort: 1,
        childIP: '10.0.0.1',
        childPort: 65535,
      },
    ],
    [
      '[::1]:8080:[fd00::2]:80/tcp6',
      { proto: 'tcp6', parentIP: '::1', parentPort: 8080, childIP: 'fd00::2', childPort: 80 },
    ],
    [
      '[fe80::1%eth0]:8080:80/sctp',
      { proto: 'sctp', parentIP: 'fe80::1%eth0', parentPort: 8080, childPort: 80 },
    ],
  ])('%s is parsed, and printed the same', (text, spec) => {
    expect(parsePortSpec(text)).toStrictEqual(spec);
    expect(formatPortSpec(spec)).toBe(text);
  });

  test('an empty parentIP is an absent one', () => {
    expect(parsePortSpec(':8080:80/tcp')).toStrictEqual(parsePortSpec('8080:80/tcp'));
  });

  test('leading zeros of a port are of no account', () => {
    expect(parsePortSpec('008080:80/tcp').parentPort).toBe(8080);
  });

  test.each([
    ['', `missing proto, expected ${FORM}`],
    ['8080:80', `missing proto, expected ${FORM}`],
    ['80/tcp', `1 fields between colons, expected ${FORM}`],
    ['::1:8080:80/tcp', `5 fields between colons, expected ${FORM}`],
    ['8080:80/', `invalid proto: "", expected ${PROTO_LIST}`],
    ['8080:80/TCP', `invalid proto: "TCP", expected ${PROTO_LIST}`],
    ['0:80/tcp', `invalid parentPort: 0, expected ${PORT_RANGE}`],
    ['65536:80/tcp', `invalid parentPort: 65536, expected ${PORT_RANGE}`],
    ['8080-8081:80/tcp', `invalid parentPort: "8080-8081", expected ${PORT_RANGE}`],
    [' 8080:80/tcp', `invalid parentPort: " 8080", expected ${PORT_RANGE}`],
    ['8080:/tcp', `invalid childPort: "", expected ${PORT_RANGE}`],
    ['8080:80/tcp/udp', `invalid childPort: "80/tcp", expected ${PORT_RANGE}`],
    ['localhost:8080:80/tcp', 'invalid parentIP: "localhost", expected an IPv4 or IPv6 address'],
    ['8080:web:80/tcp', 'invalid childIP: "web", expected an IPv4 or IPv6 address'],
  ])('%j is refused with the part, the value and what was expected', (text, reason) => {
    expect(refusal(() => parsePortSpec(text))).toStrictEqual({
      code: 'ERR_SPEC',
      message: `bad port spec ${JSON.stringify(text)}: ${reason}`,
    });
  });

  test('whatever can be printed is parsed back', () => {
    const ip = fc.oneof(
      fc.ipV4(),
      fc.ipV6().filter((address) => !/^fe[89ab]|^::|^0:0:0:0:0:/i.test(address)),
    );
    const spec = fc.record(
      {
        proto: fc.constantFrom('tcp', 'udp', 'sctp'),
        parentIP: ip,
        parentPort: fc.integer({ min: 1, max: 65535 }),
        childIP: ip,
        childPort: fc.integer({ min: 1, max: 65535 }),
      },
      { requiredKeys: ['proto', 'parentPort', 'childPort'] },
    );
    fc.assert(
      fc.property(spec, (value) => {
        // A property in fast-check's record has no prototype.
        expect(parsePortSpec(formatPortSpec(value as Spec))).toEqual(value);
      }),
    );
  });

  test('no text whatever is refused with anything but ERR_SPEC', () => {
    const text = fc.string({ unit: fc.constantFrom(...'01:[]./%tcpfe '.split('')), maxLength: 30 });
    const onlyErrSpec = fc.property(fc.oneof(text, fc.string()), (value) => {
      try {
        parsePortSpec(value);
        return true;
      } catch (error) {
        return error instanceof SluiceError && error.code === 'ERR_SPEC';
      }
    });
    expect(fc.check(onlyErrSpec).failed).toBe(false);
  });
});

describe('a spec from outside', () => {
  const tcp = { proto: 'tcp', parentPort: 8080, childPort: 80 };

  test.each(PROTOS)('%s is a protocol', (proto) => {
    expect(validateSpec({ ...tcp, proto }).proto).toBe(proto);
  });

  test.each([
    tcp,
    { ...tcp, parentIP: '' },
    { ...tcp, parentIP: '', childIP: '' },
    { ...tcp, parentIP: '0:0:0:0:0:0:0:1', childIP: 'FD00::0001' },
    { ...tcp, parentIP: 'fe80::1%eth0', childIP: '127.0.0.1' },
    { ...tcp, proto: 'tcp4', parentIP: '127.0.0.1', childIP: '::1' },
    { ...tcp, proto: 'tcp4', parentIP: '::ffff:127.0.0.1' },
    { ...tcp, parentIP: '::FFFF:7f00:1' },
    { ...tcp, proto: 'tcp6', parentIP: '::1', childIP: '127.0.0.1' },
    { ...tcp, proto: 'tcp6', parentIP: '::' },
  ])('%j comes back exactly as it was sent', (spec) => {
    expect(validateSpec(spec)).toStrictEqual(spec);
  });

  test('an unknown key is tolerated and dropped', () => {
    expect(validateSpec({ ...tcp, later: true })).toStrictEqual(tcp);
  });

  test.each<[unknown, string]>([
    [null, 'invalid spec: null, expected an object'],
    [[], 'invalid spec: [], expected an object'],
    ['tcp', 'invalid spec: "tcp", expected an object'],
    [{}, `missing proto, expected ${PROTO_LIST}`],
    [{ ...tcp, proto: 7 }, `invalid proto: 7, expected ${PROTO_LIST}`],
    [{ proto: 'tcp', childPort: 80 }, `missing parentPort, expected ${PORT_RANGE}`],
    [{ ...tcp, parentPort: '8080' }, `invalid parentPort: "8080", expected ${PORT_RANGE}`],
    [{ ...tcp, parentPort: 1.5 }, `invalid parentPort: 1.5, expected ${PORT_RANGE}`],
    [{ ...tcp, childPort: -1 }, `invalid childPort: -1, expected ${PORT_RANGE}`],
    [{ ...tcp, parentIP: null }, 'invalid parentIP: null, expected an IPv4 or IPv6 address'],
    [{ ...tcp, childIP: 1 }, 'invalid childIP: 1, expected an IPv4 or IPv6 address'],
    ...['0x7f.1', '127.1', '010.0.0.1', '2130706433', '127.0.0.1 ', '[::1]', '::g'].map(
      (parentIP): [unknown, string] => [
        { ...tcp, parentIP },
        `invalid parentIP: "${parentIP}", expected an IPv4 or IPv6 address`,
      ],
    ),
    [
      { ...tcp, proto: 'tcp6', parentIP: '::ffff:127.0.0.1' },
      'invalid parentIP: "::ffff:127.0.0.1", tcp6 needs an IPv6 address; for this one use tcp4 or tcp',
    ],
    [
      { ...tcp, parentIP: 'fe80::1' },
      'invalid parentIP: "fe80::1", expected the interface too, for example fe80::1%eth0',
    ],
    [
      { ...tcp, parentIP: 'fd00::1%eth0' },
      'invalid parentIP: "fd00::1%eth0", expected a zone on link-local addresses (fe80::/10) only',
    ],
    [
      { ...tcp, childIP: 'fe80::1%eth0' },
      'invalid childIP: "fe80::1%eth0", expected an address without a zone that is not link-local',
    ],
    [
      { ...tcp, proto: 'tcp4', parentIP: '::' },
      'invalid parentIP: "::", tcp4 needs an IPv4 address; for this one use tcp6 or tcp',
    ],
    [
      { ...tcp, proto: 'udp6', parentIP: '0.0.0.0' },
      'invalid parentIP: "0.0.0.0", udp6 needs an IPv6 address; for this one use udp4 or udp',
    ],
  ])('%j is refused', (value, message) => {
    expect(refusal(() => validateSpec(value))).toStrictEqual({ code: 'ERR_SPEC', message });
  });

  test('a long value is cut in the message', () => {
    const { message } = refusal(() => validateSpec({ ...tcp, proto: 'x'.repeat(60_000) }));
    expect(message.length).toBeLessThan(200);
  });
});
