/**
 * The order of port binding requests.
 *
 * Source: `PortBindingReq.Compare` of moby's portmapperapi. Its comment has the container's address
 * before the host's, its code the other way round; this is the code's way.
 */

import ipaddr from 'ipaddr.js';
import { parseIP } from '../../msg/sockaddr.js';
import { isRange, type PortBindingReq } from './contract.js';

/**
 * Negative, zero or positive, for Array.prototype.sort. Those that differ in their addresses alone
 * come to stand together, and exact ports before the ranges that they may fall into. Addresses must
 * be valid or empty.
 */
export function comparePortBindingReq(one: PortBindingReq, other: PortBindingReq): number {
  return (
    compareText(one.mapper, other.mapper) ||
    Number(isRange(one)) - Number(isRange(other)) ||
    one.port - other.port ||
    one.proto - other.proto ||
    one.hostPort - other.hostPort ||
    one.hostPortEnd - other.hostPortEnd ||
    compareIP(one.hostIP, other.hostIP) ||
    compareIP(one.ip, other.ip)
  );
}

/** One form for each address: an IPv4-mapped one is the IPv4 address in it. */
export function unmapped(ip: string): string {
  const parsed = parseIP(ip);
  const isMapped = parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress();
  const zone = ip.split('%')[1];
  const text = (isMapped ? parsed.toIPv4Address() : parsed).toString();
  return zone === undefined ? text : `${text}%${zone}`;
}

/** As Go's netip.Addr does: no address, then IPv4, then IPv6, then the zone. */
function compareIP(one = '', other = ''): number {
  if (one === '' || other === '') return Number(one !== '') - Number(other !== '');
  const [ip, otherIP] = [unmapped(one), unmapped(other)];
  const [bytes, otherBytes] = [parseIP(ip).toByteArray(), parseIP(otherIP).toByteArray()];
  return (
    bytes.length - otherBytes.length ||
    Buffer.compare(Buffer.from(bytes), Buffer.from(otherBytes)) ||
    compareText(ip.split('%')[1], otherIP.split('%')[1])
  );
}

/** By the bytes of UTF-8, as Go's strings.Compare does. */
function compareText(one = '', other = ''): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
