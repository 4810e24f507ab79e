/**
 * The nftables table `inet sluice`.
 *
 * - `output` sees the agent's packets before the mangle rules of others could change their mark. It
 *   gives their connection CT_MARK, and notes the client and the server's port of each UDP exchange.
 * - `prerouting` marks replies after everybody else, as the last thing before routing. A reply is
 *   ours when one of our transparent sockets waits for it, which holds when conntrack has forgotten
 *   the connection; or when its connection has CT_MARK, which serves SCTP, ICMP errors, and packets
 *   for a socket that is gone. `ct` makes the kernel put fragments together first.
 * - `postrouting` maps the sources of our packets to themselves. The NAT chains of engines leave a
 *   connection alone that has a mapping: a MASQUERADE rule would put the gateway in the client's
 *   place.
 */

import {
  CANARY_IPV4,
  CANARY_IPV6,
  CT_MARK,
  LOCAL_MARK,
  MARK_MASK,
  OUT_MARK,
} from '../../msg/marks.js';
import { hex } from './rules.js';

/** Expressions that kernels may lack. */
export interface NftFeatures {
  readonly nat: boolean;
  /** `socket`, and `reject` and sets that time out, which are of use with it only. */
  readonly socket: boolean;
}

const TABLE = 'table inet sluice';

/** Declared first: only what exists can be deleted or flushed. */
export const NFT_DELETE = `${TABLE}\ndelete ${TABLE}\n`;

/** Leaves the notes on UDP exchanges. */
const NFT_FLUSH = `${TABLE}\nflush ${TABLE}\n`;

/** Without the elements of sets, and without counters. */
export const NFT_LIST = ['-n', '-s', '-t', 'list', ...TABLE.split(' ')];

/**
 * How long an exchange is remembered, and how many are at most, for each family. When there are more,
 * the datagrams of a server that speaks again after its session has ended get no answer.
 */
const UDP_NOTES = 'flags dynamic,timeout; timeout 1h; size 65536;';

/**
 * A note is renewed by every eighth datagram at random, which makes it an eighth as expensive. A
 * connection that conntrack has forgotten is noted at once.
 */
const SEVEN_EIGHTHS = 0x20000000;

const OTHER_BITS = ~MARK_MASK >>> 0;

function bearing(expression: string, mark: number, operator = '=='): string {
  return `${expression} & ${hex(MARK_MASK)} ${operator} ${hex(mark)}`;
}

function set(expression: string, mark: number): string {
  return `${expression} set ${expression} & ${hex(OTHER_BITS)} | ${hex(mark)}`;
}

const UDP_SETS = `
  set udp4 { type ipv4_addr . inet_service . inet_service; ${UDP_NOTES} }
  set udp6 { type ipv6_addr . inet_service . inet_service; ${UDP_NOTES} }`;

const NOTE_UDP = `
    oifname "lo" return
    meta l4proto != udp return
    ct state established meta random >= ${hex(SEVEN_EIGHTHS)} return
    update @udp4 { ip saddr . udp sport . udp dport }
    update @udp6 { ip6 saddr . udp sport . udp dport }`;

/**
 * The agent's socket is gone. Left to be forwarded, the datagram would get another source port, and
 * so would the client's next one, since their connections clash. The server may have got another
 * address since.
 */
const REFUSE_UDP = `
    ip daddr . udp dport . udp sport @udp4 reject with icmp port-unreachable
    ip6 daddr . udp dport . udp sport @udp6 reject with icmpv6 port-unreachable
    meta l4proto udp ${bearing('ct mark', CT_MARK)} reject`;

const NAT = `
  chain postrouting {
    type nat hook postrouting priority srcnat - 10; policy accept;
    ${bearing('meta mark', OUT_MARK)} snat ip to ip saddr
    ${bearing('meta mark', OUT_MARK)} snat ip6 to ip6 saddr
  }`;

function rules({ nat, socket }: NftFeatures): string {
  const deliver = set('meta mark', CT_MARK);
  return `${TABLE} {${socket ? UDP_SETS : ''}
  chain output {
    type filter hook output priority mangle - 10; policy accept;
    ${bearing('meta mark', OUT_MARK, '!=')} return
    ${set('ct mark', CT_MARK)}${socket ? NOTE_UDP : ''}
  }
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    iifname "lo" ${bearing('ct mark', CT_MARK)} ${set('meta mark', LOCAL_MARK)}
    iifname "lo" return
    ${socket ? 'meta l4proto != udp ' : ''}${bearing('ct mark', CT_MARK)} ${deliver} return
    ${socket ? `socket transparent 1 ${deliver} return${REFUSE_UDP}` : ''}
    ip daddr ${CANARY_IPV4} icmp type echo-reply ${deliver}
    ip6 daddr ${CANARY_IPV6} icmpv6 type echo-reply ${deliver}
  }${nat ? NAT : ''}
}
`;
}

/** The first that the kernel takes is the best that it can. */
export const NFT_FEATURES: readonly NftFeatures[] = [
  { nat: true, socket: true },
  { nat: false, socket: true },
  { nat: true, socket: false },
  { nat: false, socket: false },
];

/**
 * The first transaction that goes through does the job. The second is for a table that others have
 * changed in a way that the first can't undo.
 */
export function nftTransactions(features: NftFeatures): readonly string[] {
  return [NFT_FLUSH, NFT_DELETE].map((clear) => clear + rules(features));
}
