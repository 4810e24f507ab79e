/** Where the agent connects to, in the child namespace. */

import type { Spec } from '../msg/port.js';
import { type Address, parseIP, unmapped } from '../msg/sockaddr.js';

/**
 * The addresses to try, in order: childIP if it was given. Else the parentIP itself where that is a
 * loopback address, because engines write their rules in the namespace for that one; else
 * 127.0.0.1. Never another address of the host: it does not exist in the namespace. Servers behind
 * a port that IPv6 clients reach may listen on either loopback address, so both are tried.
 */
export function dialAddresses({
  proto,
  parentIP = '',
  childIP = '',
  childPort: port,
}: Spec): Address[] {
  if (childIP !== '') return [{ ip: unmapped(childIP), port }];
  const ip = parentIP === '' ? '' : unmapped(parentIP);
  const parent = ip === '' ? undefined : parseIP(ip);
  if (parent?.range() === 'loopback') {
    return parent.kind() === 'ipv6' ? both('::1', '127.0.0.1', port) : [{ ip, port }];
  }
  const isIPv4 = parent?.kind() === 'ipv4' && parent.range() !== 'unspecified';
  const isIPv4Only = proto.endsWith('4') || isIPv4;
  return isIPv4Only ? [{ ip: '127.0.0.1', port }] : both('127.0.0.1', '::1', port);
}

function both(first: string, second: string, port: number): Address[] {
  return [
    { ip: first, port },
    { ip: second, port },
  ];
}

export function isLoopback(ip: string): boolean {
  return parseIP(ip).range() === 'loopback';
}
