import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIptables } from '../../src/parent/dnat/iptables.js';
import { REPOSITORY } from '../harness/paths.js';

function fixture(name: string): string {
  return readFileSync(join(REPOSITORY, 'test/fixtures/dnat', name), 'utf8');
}

/** `PROTO IP:PORT > TARGET`, one for each rule. */
function summary(text: string): string[] {
  return parseIptables(text).map(
    ({ proto, ip, port, target }) =>
      `${proto} ${ip ?? 'any'} ${port} > ${target.ip} ${target.port}`,
  );
}

const RULE =
  '-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80';

describe('parseIptables on what real engines wrote', () => {
  test('reads every published IPv4 port of rootless Docker 28.5.2', () => {
    expect(summary(fixture('moby-28.5.2.iptables.txt'))).toEqual([
      'tcp 127.0.0.1 8080 > 172.17.0.2 80',
      'tcp 127.0.0.1 8081 > 172.17.0.3 80',
      'udp 127.0.0.1 8083 > 172.17.0.5 53',
      'tcp 127.0.0.1 8090 > 172.18.0.2 80',
      'tcp 127.0.0.1 8092 > 172.18.0.4 80',
      'udp 127.0.0.1 8093 > 172.18.0.5 53',
      'tcp 127.0.0.1 7000 > 172.18.0.6 7000',
      'tcp 127.0.0.1 7001 > 172.18.0.6 7001',
      'tcp 127.0.0.1 7002 > 172.18.0.6 7002',
    ]);
  });

  test('reads every published IPv6 port of rootless Docker 28.5.2', () => {
    expect(summary(fixture('moby-28.5.2.ip6tables.txt'))).toEqual([
      'tcp ::1 8090 > fd00:7::2 80',
      'tcp ::1 8091 > fd00:7::3 80',
      'udp ::1 8093 > fd00:7::5 53',
      'tcp ::1 7000 > fd00:7::6 7000',
      'tcp ::1 7001 > fd00:7::6 7001',
      'tcp ::1 7002 > fd00:7::6 7002',
    ]);
  });

  test.each(['iptables', 'ip6tables'])('reads the same %s rules without userland-proxy', (tool) => {
    expect(summary(fixture(`moby-28.5.2-no-proxy.${tool}.txt`))).toEqual(
      summary(fixture(`moby-28.5.2.${tool}.txt`)),
    );
  });

  test("reads the chains of CNI's portmap plugin", () => {
    expect(summary(fixture('cni-portmap.iptables.txt'))).toEqual([
      'tcp any 8080 > 10.4.0.2 80',
      'udp 127.0.0.1 8081 > 10.4.0.3 53',
    ]);
  });
});

describe('parseIptables on a single rule', () => {
  test.each([
    ['without a port', '172.17.0.2', '172.17.0.2 8080'],
    ['of IPv6 without a port', 'fd00:7::2', 'fd00:7::2 8080'],
    ['of IPv6 in brackets without a port', '[fd00:7::2]', 'fd00:7::2 8080'],
    ['that is not in canonical form', '[FD00:7:0::02]:80', 'fd00:7::2 80'],
  ])('takes a target %s', (_, target, expected) => {
    expect(summary(RULE.replace('172.17.0.2:80', target))).toEqual([
      `tcp 127.0.0.1 8080 > ${expected}`,
    ]);
  });

  test('takes sctp', () => {
    expect(summary(RULE.replaceAll('tcp', 'sctp'))).toEqual([
      'sctp 127.0.0.1 8080 > 172.17.0.2 80',
    ]);
  });

  test('takes a comment with anything in it for a comment', () => {
    const comment = String.raw`-m comment --comment "a \"b\" \\ -j DNAT --dport 1 ! -o x" -j`;
    expect(summary(RULE.replace('-j', comment))).toEqual(summary(RULE));
  });

  test.each([
    ['another command', '-A DOCKER', '-I DOCKER'],
    ['a source', '-p tcp', '-s 10.0.0.0/8 -p tcp'],
    ['an excluded source that is not link-local', '-p tcp', '! -s 10.0.0.0/8 -p tcp'],
    ['an interface', '! -i', '-i'],
    ['an excluded destination', '-d 127', '! -d 127'],
    ['a destination network', '127.0.0.1/32', '127.0.0.0/8'],
    ['a destination with an unknown mask', '127.0.0.1/32', '127.0.0.1/255.255.255.255'],
    ['a mark', '-j DNAT', '-m mark --mark 0x1 -j DNAT'],
    ['a state', '-j DNAT', '-m conntrack --ctstate NEW -j DNAT'],
    ['a source port', '--dport', '--sport 1024 --dport'],
    ['several ports', '--dport 8080', '--dport 8080:8090'],
    ['no port', ' -m tcp --dport 8080', ''],
    ['port 0', '8080', '0'],
    ['a port above 65535', '8080', '65536'],
    ['another protocol', '-p tcp -m tcp', '-p dccp -m dccp'],
    ['another destination type', '-j DNAT', '-m addrtype --dst-type MULTICAST -j DNAT'],
    ['another target', '-j DNAT --to-destination 172.17.0.2:80', '-j REDIRECT --to-ports 80'],
    ['a random port', '172.17.0.2:80', '172.17.0.2:80 --random'],
    ['target addresses', '172.17.0.2:80', '172.17.0.2-172.17.0.9:80'],
    ['target ports', '172.17.0.2:80', '172.17.0.2:80-90'],
    ['shifted target ports', '172.17.0.2:80', '172.17.0.2:80-90/8080'],
    ['a target port alone', '172.17.0.2:80', ':80'],
    ['target port 0', '172.17.0.2:80', '172.17.0.2:0'],
    ['a loopback target', '172.17.0.2:80', '127.0.0.1:80'],
    ['an IPv6 loopback target', '172.17.0.2:80', '[::1]:80'],
    ['an unspecified target', '172.17.0.2:80', '0.0.0.0:80'],
    ['an unspecified IPv6 target', '172.17.0.2:80', '[::]:80'],
    ['a multicast target', '172.17.0.2:80', '224.0.0.1:80'],
    ['a broadcast target', '172.17.0.2:80', '255.255.255.255:80'],
    ['a link-local target', '172.17.0.2:80', '169.254.169.254:80'],
    ['an IPv6 link-local target', '172.17.0.2:80', '[fe80::1]:80'],
    ['a zone', '172.17.0.2:80', '[fd00::1%eth0]:80'],
    ['a mapped target', '172.17.0.2:80', '[::ffff:127.0.0.1]:80'],
    ['a name for a target', '172.17.0.2:80', 'localhost:80'],
    ['an unfinished comment', '-j', '-m comment --comment "x -j'],
    ['a missing value', ' 172.17.0.2:80', ''],
    ['a property of objects as an option', '-m tcp', '-m tcp constructor x'],
  ])('leaves out a rule with %s', (_, from, to) => {
    expect(RULE).toContain(from);
    expect(summary(RULE.replace(from, to))).toEqual([]);
  });

  test('leaves out a line of no reasonable length', () => {
    expect(summary(RULE.replace('-j', `-m comment --comment ${'x'.repeat(5000)} -j`))).toEqual([]);
  });
});

describe('parseIptables on garbage', () => {
  test('never throws on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseIptables(text)).toEqual([]);
      }),
    );
  });

  test('reads the options of a rule in any order', () => {
    const [command, ...options] = RULE.split(/ (?=-|!)/).filter((word) => word !== '-i docker0');
    const inOrder = options.map((option) => (option === '!' ? '! -i docker0' : option));
    const all = { minLength: inOrder.length, maxLength: inOrder.length };
    fc.assert(
      fc.property(fc.shuffledSubarray(inOrder, all), (shuffled) => {
        expect(summary([command, ...shuffled].join(' '))).toEqual(summary(RULE));
      }),
    );
  });

  test('takes a rule with a foreign word in it for that rule or for none', () => {
    const words = RULE.split(' ');
    const word = fc.oneof(fc.constantFrom(...words, '"', '\\', '!', '-s', '', '\n'), fc.string());
    fc.assert(
      fc.property(fc.nat(words.length), fc.nat(1), word, (at, replaced, foreign) => {
        const changed = words.toSpliced(at, replaced, foreign).join(' ');
        for (const { target } of parseIptables(changed)) expect(target.ip).toBe('172.17.0.2');
      }),
    );
  });

  test('still reads a rule among any lines', () => {
    const line = fc.string().filter((text) => !text.includes('\n'));
    fc.assert(
      fc.property(line, line, (before, after) => {
        expect(summary([before, RULE, after].join('\n'))).toContain(
          'tcp 127.0.0.1 8080 > 172.17.0.2 80',
        );
      }),
    );
  });
});
