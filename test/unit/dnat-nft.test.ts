import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasNativeNat } from '../../src/parent/dnat/nft-json.js';
import { parseNft } from '../../src/parent/dnat/nft.js';
import { REPOSITORY } from '../harness/paths.js';

function fixture(name: string): string {
  return readFileSync(join(REPOSITORY, 'test/fixtures/dnat', name), 'utf8');
}

function summary(text: string): string[] {
  return parseNft(text).map(
    ({ proto, ip, port, target }) =>
      `${proto} ${ip ?? 'any'} ${port} > ${target.ip} ${target.port}`,
  );
}

function ruleset(expr: unknown): string {
  const rule = { family: 'ip', table: 'docker-bridges', chain: 'nat', handle: 3, expr };
  return JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }, { rule }] });
}

function match(op: string, left: unknown, right: unknown) {
  return { match: { op, left, right } };
}

function payload(protocol: string, field: string) {
  return { payload: { protocol, field } };
}

const DPORT = match('==', payload('tcp', 'dport'), 8080);
const DADDR = match('==', payload('ip', 'daddr'), '127.0.0.1');
const DNAT = { dnat: { addr: '172.17.0.2', port: 80 } };

describe('parseNft on a real ruleset', () => {
  test("reads every published port of moby 29's nftables backend", () => {
    expect(summary(fixture('moby-29.nft-json.txt'))).toEqual([
      'tcp 127.0.0.1 8080 > 172.17.0.2 80',
      'udp 127.0.0.1 8081 > 172.17.0.3 53',
      'tcp 127.0.0.1 8090 > 172.18.0.2 80',
      'tcp 127.0.0.1 8091 > 172.18.0.3 80',
      'tcp ::1 8090 > fd00:7::2 80',
      'tcp ::1 8091 > fd00:7::3 80',
    ]);
  });

  test('finds no rule in what iptables-nft wrote, whose targets nft does not show', () => {
    expect(summary(fixture('moby-28.5.2.nft-json.txt'))).toEqual([]);
  });
});

describe('hasNativeNat', () => {
  test("tells moby 29's nftables backend from what iptables-nft wrote", () => {
    expect(hasNativeNat(fixture('moby-29.nft-json.txt'))).toBe(true);
    expect(hasNativeNat(fixture('moby-28.5.2.nft-json.txt'))).toBe(false);
  });

  test.each([
    ['a NAT chain of the inet family', true, { family: 'inet', table: 'nat', type: 'nat' }],
    ['a filter chain', false, { family: 'ip', table: 'any', type: 'filter' }],
    ['a chain that is no base chain', false, { family: 'ip', table: 'any' }],
  ])('of %s is %s', (_, expected, chain) => {
    expect(hasNativeNat(JSON.stringify({ nftables: [{ chain }] }))).toBe(expected);
  });

  test('is false of any garbage', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(hasNativeNat(text)).toBe(false);
      }),
    );
  });
});

describe('parseNft on a single rule', () => {
  test('takes a rule with no more than a port and a target', () => {
    expect(summary(ruleset([DPORT, DNAT]))).toEqual(['tcp any 8080 > 172.17.0.2 80']);
  });

  test('takes a target without a port for the same port', () => {
    expect(summary(ruleset([DPORT, { dnat: { addr: 'FD00:7:0::2', family: 'ip6' } }]))).toEqual([
      'tcp any 8080 > fd00:7::2 8080',
    ]);
  });

  test.each([
    ['the family', match('==', { meta: { key: 'nfproto' } }, 'ipv4')],
    ['a local destination', match('==', { fib: { result: 'type', flags: ['daddr'] } }, 'local')],
    ['an interface that is excluded', match('!=', { meta: { key: 'iifname' } }, 'docker0')],
    ['a counter', { counter: { packets: 1, bytes: 40 } }],
    ['an anonymous counter', { counter: null }],
  ])('takes a rule that also has %s', (_, statement) => {
    expect(summary(ruleset([statement, DADDR, DPORT, DNAT]))).toEqual([
      'tcp 127.0.0.1 8080 > 172.17.0.2 80',
    ]);
  });

  test.each([
    ['a source', match('==', payload('ip', 'saddr'), '10.0.0.1')],
    ['an excluded source', match('!=', payload('ip', 'saddr'), '10.0.0.1')],
    ['an interface', match('==', { meta: { key: 'iifname' } }, 'docker0')],
    ['an excluded destination', match('!=', payload('ip', 'daddr'), '10.0.0.1')],
    ['a mark', match('==', { meta: { key: 'mark' } }, 1)],
    ['a state', match('in', { ct: { key: 'state' } }, 'new')],
    ['a limit', { limit: { rate: 10, per: 'second' } }],
    ['a network', match('==', payload('ip', 'daddr'), { prefix: { addr: '127.0.0.0', len: 8 } })],
    ['a set of ports', match('==', payload('tcp', 'dport'), { set: [8080, 8081] })],
    ['a range of ports', match('==', payload('tcp', 'dport'), { range: [8080, 8090] })],
    ['port 0', match('==', payload('tcp', 'dport'), 0)],
    ['something unknown', { future: {} }],
    ['nothing', null],
  ])('leaves out a rule that also has %s', (_, statement) => {
    expect(summary(ruleset([DPORT, statement, DNAT]))).toEqual([]);
  });

  test.each([
    ['a map', { addr: { map: { key: payload('tcp', 'dport'), data: { set: [] } } } }],
    ['addresses', { addr: { range: ['172.17.0.2', '172.17.0.9'] }, port: 80 }],
    ['ports', { addr: '172.17.0.2', port: { range: [80, 90] } }],
    ['a port alone', { port: 80 }],
    ['a random port', { addr: '172.17.0.2', port: 80, flags: 'random' }],
    ['port 65536', { addr: '172.17.0.2', port: 65536 }],
    ['a fraction of a port', { addr: '172.17.0.2', port: 80.5 }],
    ['a loopback address', { addr: '127.0.0.1', port: 80 }],
    ['a name', { addr: 'localhost', port: 80 }],
  ])('leaves out a rule whose target is %s', (_, dnat) => {
    expect(summary(ruleset([DPORT, { dnat }]))).toEqual([]);
  });

  test('leaves out a rule without a port', () => {
    expect(summary(ruleset([DADDR, DNAT]))).toEqual([]);
  });
});

describe('parseNft on garbage', () => {
  test('never throws on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseNft(text)).toEqual([]);
      }),
    );
  });

  test('never throws on any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseNft(text)).toEqual([]);
      }),
    );
  });

  test('takes nothing that it does not know into account from any statements', () => {
    const statement = fc.oneof(fc.constantFrom<unknown>(DPORT, DADDR, DNAT), fc.jsonValue());
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 6 }), (expr) => {
        const known = expr.every((each) => [DPORT, DADDR, DNAT].includes(each as typeof DPORT));
        const found = parseNft(ruleset(expr)).length > 0;
        expect(found).toBe(known && expr.includes(DPORT) && expr.includes(DNAT));
      }),
    );
  });

  test('still reads a rule among any objects', () => {
    const { nftables } = JSON.parse(ruleset([DPORT, DNAT])) as { nftables: unknown[] };
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (others) => {
        const text = JSON.stringify({ nftables: [...others, ...nftables] });
        expect(summary(text)).toContain('tcp any 8080 > 172.17.0.2 80');
      }),
    );
  });
});
