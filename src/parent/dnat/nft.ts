/**
 * The rules in nft's output.
 *
 * The statements understood are those of moby 29's nftables backend (chain
 * nat-prerouting-and-output of the tables `ip docker-bridges` and `ip6 docker-bridges`), of CNI's
 * portmap plugin (table cni_hostport) and of netavark. They publish ports by plain rules; a port or
 * an address out of a map or a set is left out.
 */

import * as z from 'zod';
import { type Transport, TRANSPORTS } from '../../msg/port.js';
import { arrayOf, field, objectsOf } from './nft-json.js';
import { type DnatRule, parseAddress, parsePort, parseTargetIP } from './rule.js';

interface Facts {
  readonly proto?: Transport;
  readonly ip?: string;
  readonly port?: number;
  readonly target?: { readonly ip: string; readonly port?: number };
}

const address = z.string().transform((text, context) => parseAddress(text) ?? refuse(context));
const targetIP = z.string().transform((text, context) => parseTargetIP(text) ?? refuse(context));
const port = z.number().transform((value, context) => parsePort(String(value)) ?? refuse(context));

function refuse(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'not usable' });
  return z.NEVER;
}

function match<Left extends z.ZodType, Right extends z.ZodType>(
  op: '==' | '!=',
  left: Left,
  right: Right,
) {
  return z.strictObject({ match: z.strictObject({ op: z.literal(op), left, right }) });
}

function meta(key: string) {
  return z.strictObject({ meta: z.strictObject({ key: z.literal(key) }) });
}

function payload<Protocol extends string>(protocols: readonly Protocol[], name: string) {
  return z.strictObject({
    payload: z.strictObject({ protocol: z.enum(protocols), field: z.literal(name) }),
  });
}

const NO_FACTS: Facts = {};
const IP = ['ip', 'ip6'] as const;
const LINK_LOCAL = z.strictObject({
  prefix: z.strictObject({ addr: z.literal('fe80::'), len: z.literal(10) }),
});
const DADDR_TYPE = z.strictObject({
  fib: z.strictObject({ result: z.literal('type'), flags: z.tuple([z.literal('daddr')]) }),
});

/** One statement of a rule; what is none of these makes the rule unusable. */
const statement = z.union([
  match('==', payload(TRANSPORTS, 'dport'), port).transform(
    ({ match: { left, right } }): Facts => ({ proto: left.payload.protocol, port: right }),
  ),
  match('==', payload(IP, 'daddr'), address).transform((m): Facts => ({ ip: m.match.right })),
  z
    .strictObject({
      dnat: z.strictObject({
        addr: targetIP,
        port: port.exactOptional(),
        family: z.enum(IP).exactOptional(),
      }),
    })
    .transform(({ dnat: { addr, port: to } }): Facts => {
      return { target: { ip: addr, ...(to !== undefined && { port: to }) } };
    }),
  z.strictObject({ counter: z.unknown() }).transform(() => NO_FACTS),
  // As in iptables: not from the container's own network, and not from a link-local address.
  match('!=', meta('iifname'), z.string()).transform(() => NO_FACTS),
  match('!=', payload(['ip6'], 'saddr'), LINK_LOCAL).transform(() => NO_FACTS),
  match('==', DADDR_TYPE, z.literal('local')).transform(() => NO_FACTS),
  match('==', meta('nfproto'), z.enum(['ipv4', 'ipv6'])).transform(() => NO_FACTS),
]);

const understood = z.array(statement);

/** The DNAT rules of `nft -j list ruleset` that are understood; the rest is left out. Never throws. */
export function parseNft(text: string): DnatRule[] {
  return objectsOf(text).flatMap((object) => {
    const expr = arrayOf(field(field(object, 'rule'), 'expr'));
    // Most rules are for other things, and what zod finds wrong with them is of no use.
    const isDnat = expr.some((each) => field(each, 'dnat') !== undefined);
    return (isDnat && toRule(expr)) || [];
  });
}

function toRule(expr: readonly unknown[]): DnatRule | undefined {
  const facts = understood.safeParse(expr).data ?? [];
  const { proto, ip, port: from, target } = facts.reduce((all, some) => ({ ...all, ...some }), {});
  if (proto === undefined || from === undefined || target === undefined) return undefined;
  const to = { ip: target.ip, port: target.port ?? from };
  return { proto, port: from, target: to, ...(ip !== undefined && { ip }) };
}
