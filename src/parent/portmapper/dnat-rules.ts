/**
 * An nftables script for engines that have no firewall of their own.
 *
 * The kernel applies the rules to what comes in or is sent by programs of the namespace, loopback
 * addresses aside; for those it is the driver that reads them, and goes to the container itself.
 */

import { isIPv6 } from 'node:net';
import { SluiceError } from '../../msg/errors.js';
import { formatAddress } from '../../msg/sockaddr.js';
import { unmapped } from './compare.js';
import { type PortBinding, PROTOCOL } from './contract.js';

const TABLE = 'sluice-portmapper';
/** nft(8): an identifier. */
const TABLE_NAME = /^[a-zA-Z_][a-zA-Z0-9_-]{0,62}$/;

/**
 * A script for `nft -f` that makes `table` (of family inet) what these bindings need, in one
 * transaction; without bindings it takes the table away. Bindings without NAT add no rule, and
 * those between IPv4 and IPv6, which no firewall can translate, only a comment.
 *
 * @throws SluiceError ERR_USAGE for a table name that nft does not take
 */
export function dnatRules(bindings: readonly PortBinding[], table = TABLE): string {
  if (!TABLE_NAME.test(table)) {
    throw new SluiceError(
      'ERR_USAGE',
      `bad table name ${JSON.stringify(table)}, expected letters, digits, "_" and "-", 63 at most`,
    );
  }
  // Deleting needs the table to be there.
  const head = `table inet ${table}\ndelete table inet ${table}\n`;
  const rules = [...new Set(bindings.flatMap(ruleOf))];
  if (rules.length === 0) return head;
  return `${head}table inet ${table} {
  chain published {
    ${rules.join('\n    ')}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump published
    ip6 daddr != ::1 fib daddr type local jump published
  }
}
`;
}

function ruleOf({ nat, proto, ip, port }: PortBinding): string[] {
  const name = Object.entries(PROTOCOL).find(([, number]) => number === proto)?.[0];
  if (nat === undefined || name === undefined || ip === '') return [];
  const [from, to] = [unmapped(nat.ip), unmapped(ip)];
  const isV6 = isIPv6(from);
  const target = formatAddress({ ip: to, port });
  if (isV6 !== isIPv6(to)) return [`# no NAT from ${from} port ${nat.port}/${name} to ${target}`];
  const family = isV6 ? 'ip6' : 'ip';
  return [`${family} daddr ${from} ${name} dport ${nat.port} dnat ${family} to ${target}`];
}
