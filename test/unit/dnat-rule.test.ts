import { describe, expect, test } from 'vitest';
import { type DnatRule, targetsOf } from '../../src/parent/dnat/rule.js';

const FIRST = { ip: '172.17.0.2', port: 80 };
const SECOND = { ip: '172.17.0.3', port: 80 };
const SIXTH = { ip: 'fd00:7::2', port: 80 };

function rule(target: DnatRule['target'], ip?: string): DnatRule {
  return { proto: 'tcp', port: 8080, target, ...(ip !== undefined && { ip }) };
}

const QUERY = { proto: 'tcp', ip: '127.0.0.1', port: 8080 } as const;

describe('the targets of a query', () => {
  test('are those of the rules for its address, then of the rules for every address', () => {
    const rules = [rule(FIRST), rule(SECOND, '127.0.0.1')];
    expect(targetsOf(rules, QUERY)).toEqual([SECOND, FIRST]);
  });

  test('are each given once', () => {
    expect(targetsOf([rule(FIRST), rule(FIRST, '127.0.0.1')], QUERY)).toEqual([FIRST]);
  });

  test('are not those of another protocol, port or address', () => {
    const rules = [rule(FIRST, '127.0.0.1')];
    expect(targetsOf(rules, { ...QUERY, proto: 'udp' })).toEqual([]);
    expect(targetsOf(rules, { ...QUERY, port: 8081 })).toEqual([]);
    expect(targetsOf(rules, { ...QUERY, ip: '127.0.0.2' })).toEqual([]);
  });

  test('are of its family where a rule is for every address', () => {
    const rules = [rule(FIRST), rule(SIXTH)];
    expect(targetsOf(rules, QUERY)).toEqual([FIRST]);
    expect(targetsOf(rules, { ...QUERY, ip: '::1' })).toEqual([SIXTH]);
  });

  test('are found for an address in any notation', () => {
    expect(targetsOf([rule(SIXTH, '::1')], { ...QUERY, ip: '0:0::0:1' })).toEqual([SIXTH]);
  });

  test('are none for what is no address', () => {
    expect(targetsOf([rule(FIRST)], { ...QUERY, ip: 'localhost' })).toEqual([]);
  });
});
