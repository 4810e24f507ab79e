import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { comparePortBindingReq } from '../../src/parent/portmapper/compare.js';
import { type PortBindingReq, PROTOCOL } from '../../src/parent/portmapper/contract.js';

const BASE = {
  proto: PROTOCOL.tcp,
  ip: '172.17.0.2',
  port: 80,
  hostIP: '198.51.100.1',
  hostPort: 8080,
  hostPortEnd: 8080,
};

// Few values of each field, so that equal ones meet often.
const addresses = [
  '',
  '127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::1',
  '0:0:0:0:0:0:0:1',
  'fe80::1%eth0',
  'fe80::1%eth1',
  '198.51.100.1',
  '0.0.0.0',
  '::',
];
const hostPorts = fc.constantFrom([0, 0], [80, 80], [80, 90], [8080, 8080], [8080, 8081], [0, 9]);
const request: fc.Arbitrary<PortBindingReq> = fc
  .record({
    mapper: fc.constantFrom(undefined, '', 'nat', 'sluice', '\u{1F40B}', '\uFFFD'),
    proto: fc.constantFrom(6, 17, 132),
    ip: fc.constantFrom(...addresses),
    port: fc.constantFrom(0, 53, 80, 65535),
    hostIP: fc.constantFrom(undefined, ...addresses),
    hostPorts,
  })
  .map(({ mapper, hostIP, hostPorts: [hostPort = 0, hostPortEnd = 0], ...rest }) => ({
    ...rest,
    ...(mapper !== undefined && { mapper }),
    ...(hostIP !== undefined && { hostIP }),
    hostPort,
    hostPortEnd,
  }));

const sign = (one: PortBindingReq, other: PortBindingReq): number =>
  Math.sign(comparePortBindingReq(one, other));

/** Everything but the addresses. */
const kindOf = ({ mapper = '', proto, port, hostPort, hostPortEnd }: PortBindingReq): string =>
  JSON.stringify([mapper, proto, port, hostPort, hostPortEnd]);

describe('the order of port binding requests', () => {
  // Each pair differs in what goes first and, the other way round, in everything after it.
  test.each([
    ['the mapper', { mapper: 'a', hostPortEnd: 8090 }, { mapper: 'b' }],
    ['the bytes of the mapper', { mapper: '\uFFFD' }, { mapper: '\u{1F40B}' }],
    ['an exact port before a range', { port: 81 }, { hostPortEnd: 8081 }],
    ['an exact port before an ephemeral one', { port: 81 }, { hostPort: 0, hostPortEnd: 0 }],
    ['the container port', { port: 9, proto: PROTOCOL.sctp }, { port: 10 }],
    [
      'tcp before udp',
      { hostPort: 9, hostPortEnd: 9 },
      { proto: PROTOCOL.udp, hostPort: 8, hostPortEnd: 8 },
    ],
    ['udp before sctp', { proto: PROTOCOL.udp }, { proto: PROTOCOL.sctp }],
    ['the host port', { hostPort: 9, hostPortEnd: 99 }, { hostPort: 10, hostPortEnd: 11 }],
    [
      'the end of the range',
      { hostPort: 9, hostPortEnd: 10, hostIP: '::1' },
      { hostPort: 9, hostPortEnd: 11 },
    ],
    ['no host address before one', { hostIP: '', ip: '172.17.0.9' }, {}],
    [
      'the host address, by its number',
      { hostIP: '9.0.0.1', ip: '172.17.0.9' },
      { hostIP: '10.0.0.1' },
    ],
    ['IPv4 before IPv6', { hostIP: '198.51.100.1', ip: '::1' }, { hostIP: '::1' }],
    ['the container address last', { ip: '172.17.0.2' }, { ip: '172.17.0.10' }],
  ])('is by %s', (_, first, second) => {
    const [one, other] = [
      { ...BASE, ...first },
      { ...BASE, ...second },
    ];
    expect(sign(one, other)).toBe(-1);
    expect(sign(other, one)).toBe(1);
  });

  test.each([
    ['::ffff:198.51.100.1', '198.51.100.1'],
    ['::ffff:c633:6401', '198.51.100.1'],
    ['0:0::1', '::1'],
  ])('takes %s for %s', (one, other) => {
    expect(sign({ ...BASE, hostIP: one }, { ...BASE, hostIP: other })).toBe(0);
    expect(sign({ ...BASE, ip: one }, { ...BASE, ip: other })).toBe(0);
  });

  test('is antisymmetric, and total', () => {
    fc.assert(
      fc.property(request, request, (a, b) => {
        expect(sign(a, b)).toBe(0 - sign(b, a));
        expect(sign(a, a)).toBe(0);
      }),
    );
  });

  test('is transitive', () => {
    fc.assert(
      fc.property(request, request, request, (a, b, c) => {
        const [low, middle, high] = [a, b, c].toSorted(comparePortBindingReq);
        if (!low || !middle || !high) throw new Error('sorting lost one');
        expect(sign(low, middle)).toBeLessThanOrEqual(0);
        expect(sign(middle, high)).toBeLessThanOrEqual(0);
        expect(sign(low, high)).toBe(Math.min(sign(low, middle), sign(middle, high)));
      }),
    );
  });

  test('is the same whatever the order was before', () => {
    fc.assert(
      fc.property(fc.array(request), (requests) => {
        const sorted = requests.toSorted(comparePortBindingReq);
        const again = requests.toReversed().toSorted(comparePortBindingReq);
        expect(sorted.map((one, index) => sign(one, again[index] ?? one))).toEqual(
          sorted.map(() => 0),
        );
      }),
    );
  });

  test('brings those together that differ in their addresses alone', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 30 }), (requests) => {
        const kinds = requests.toSorted(comparePortBindingReq).map(kindOf);
        const runs = kinds.filter((kind, index) => kind !== kinds[index - 1]);
        expect(runs).toEqual([...new Set(kinds)]);
      }),
    );
  });
});
