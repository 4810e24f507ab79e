/** Firewall rules and arguments that anybody in the child namespaces may have written. */
import * as fc from 'fast-check';
import { isIP } from 'node:net';
import { parseDockerProxy } from '../../src/parent/dnat/docker-proxy.js';
import { parseIptables } from '../../src/parent/dnat/iptables.js';
import { hasNativeNat } from '../../src/parent/dnat/nft-json.js';
import { parseNft } from '../../src/parent/dnat/nft.js';
import type { DnatRule } from '../../src/parent/dnat/rule.js';
import { damaged, nearly } from './garbage.js';
import { must, targetOf } from './target.js';

const IPTABLES_WORDS = [
  ...'-A|DOCKER|-p|tcp|udp|sctp|-m|-d|127.0.0.1/32|::1/128|10.0.0.0/8|--dport|80|65536|0'.split(
    '|',
  ),
  ...'-j|DNAT|--to-destination|172.17.0.2:80|172.17.0.2:65536|127.0.0.1:80|[fd00::2]:80|fd00::2|1.2.3.4-1.2.3.9:1-2|!'.split(
    '|',
  ),
  ...'-i|docker0|-s|fe80::/10|--comment|"a \\"b\\" c"|addrtype|--dst-type|LOCAL'.split('|'),
  ' ',
  ' ',
  ' ',
  '\n',
  '"',
  '\\',
];

const IPTABLES_RULE =
  '-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n'.split(
    /(?= )|(?<= )/,
  );

const match = (left: unknown, right: unknown, op = '==') => ({ match: { op, left, right } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const rule = (...expr: unknown[]) => ({
  rule: { family: 'ip', table: 'docker', chain: 'nat', expr },
});
const PORT = match(payload('tcp', 'dport'), 8080);

const EXPRESSION: readonly unknown[] = [
  match(payload('ip', 'daddr'), '127.0.0.1'),
  match({ meta: { key: 'iifname' } }, 'docker0', '!='),
  PORT,
  { counter: { packets: 0, bytes: 0 } },
  { dnat: { addr: '172.17.0.2', port: 80, family: 'ip' } },
];

const RULESETS: readonly unknown[] = [
  {
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { chain: { family: 'ip', table: 'docker', name: 'nat', type: 'nat' } },
      rule(...EXPRESSION),
      rule(PORT, { dnat: { addr: 'fd00::2', port: 80 } }),
    ],
  },
  { nftables: [rule(PORT, { dnat: { addr: '172.17.0.2' } })] },
];

const ruleset = fc.oneof(
  damaged(RULESETS),
  damaged([EXPRESSION]).map((expr) => ({ nftables: [{ rule: { family: 'ip', expr } }] })),
);

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function mustBeUsable(rules: readonly DnatRule[]): void {
  for (const { proto, ip, port, target } of rules) {
    must(['tcp', 'udp', 'sctp'].includes(proto), `protocol ${proto}`);
    must(ip === undefined || isIP(ip) !== 0, `address ${ip}`);
    must(isIP(target.ip) !== 0 && !target.ip.startsWith('127.'), `target ${target.ip}`);
    must(isPort(port) && isPort(target.port), `ports ${port}, ${target.port}`);
  }
}

export const iptables = targetOf('iptables', nearly(IPTABLES_WORDS, IPTABLES_RULE), (text) =>
  mustBeUsable(parseIptables(text)),
);

export const nft = targetOf('nft', fc.tuple(ruleset, fc.nat(200)), ([value, cut]) => {
  // Half of them whole: cut ones are no JSON any more.
  const text = jsonOf(value);
  const output = cut % 2 === 0 ? text : text.slice(0, text.length - cut);
  mustBeUsable(parseNft(output));
  hasNativeNat(output);
});

const PROXY_WORDS =
  'docker-proxy|/usr/bin/rootlesskit-docker-proxy|-proto|tcp|-host-ip|0.0.0.0|127.0.0.1|::1|-host-port|80|65536|0|-container-ip|172.17.0.2|fe80::1|::ffff:10.0.0.1|-container-port|-1| '.split(
    '|',
  );

const PROXY =
  'docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8080 -container-ip 172.17.0.2 -container-port 80 -use-listen-fd'.split(
    /(?= )|(?<= )/,
  );

export const dockerProxy = targetOf('docker-proxy', nearly(PROXY_WORDS, PROXY), (text) => {
  const [program = '', ...args] = text.split(' ');
  const proxy = parseDockerProxy(program, args);
  if (proxy === undefined) return;
  const { ip, port, container } = proxy;
  mustBeUsable([{ proto: 'tcp', ip, port, target: container }]);
});

/** Some of `damaged` has no JSON form. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    return '';
  }
}
