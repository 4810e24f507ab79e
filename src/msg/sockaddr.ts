/** struct sockaddr_in and sockaddr_in6, to and from their bytes. */

import ipaddr from 'ipaddr.js';
import { type Fields, integer, invalid, text } from './fields.js';
import { AF_INET, AF_INET6 } from './linux.js';

export interface Address {
  readonly ip: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** As in a URL: an IPv6 address in brackets. */
export function formatAddress({ ip, port }: Address): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Checks an address from another process; its port is `leastPort` to 65535. */
export function parseAddress(fields: Fields, leastPort = 1): Address {
  const ip = text(fields, 'ip');
  if (!ipaddr.isValid(ip)) throw invalid('ip', ip, 'an IPv4 or IPv6 address');
  return { ip, port: integer(fields, 'port', leastPort, 65535) };
}

export type Family = typeof AF_INET | typeof AF_INET6;

export const SOCKADDR_IN_BYTES = 16;
export const SOCKADDR_IN6_BYTES = 28;
const IN_ADDR_OFFSET = 4;
const IN6_ADDR_OFFSET = 8;
const IN6_SCOPE_OFFSET = 24;

/** Leaves a zone aside: ipaddr.js takes letters and digits only in it, and not br-0 or eth0.1. */
export function parseIP(ip: string): ipaddr.IPv4 | ipaddr.IPv6 {
  return ipaddr.parse(ip.split('%', 1)[0] ?? '');
}

/** The IPv4 address itself for one like ::ffff:10.0.2.100, as dockerd and Go write it. */
export function unmapped(ip: string): string {
  const parsed = parseIP(ip);
  const isMapped = parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress();
  return isMapped ? parsed.toIPv4Address().toString() : ip;
}

export function familyOf(ip: string): Family {
  return parseIP(ip).kind() === 'ipv4' ? AF_INET : AF_INET6;
}

/** The form that bind(2) and connect(2) take. `scopeId` is the interface of a link-local address. */
export function encodeSockAddr({ ip, port }: Address, scopeId = 0): Uint8Array<ArrayBuffer> {
  const parsed = parseIP(ip);
  const isIPv4 = parsed.kind() === 'ipv4';
  const bytes = new Uint8Array(isIPv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isIPv4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port, false);
  bytes.set(parsed.toByteArray(), isIPv4 ? IN_ADDR_OFFSET : IN6_ADDR_OFFSET);
  if (!isIPv4) view.setUint32(IN6_SCOPE_OFFSET, scopeId, true);
  return bytes;
}

/** A sockaddr to be kept for long: a character for each byte takes a tenth of what an array does. */
export function packSockAddr(sockaddr: Uint8Array): string {
  return String.fromCharCode(...sockaddr);
}

export function unpackSockAddr(packed: string): Uint8Array {
  return Buffer.from(packed, 'latin1');
}

/** The IP address of a sockaddr as a key: hosts are told apart by it, whatever the port. */
export function keyOfIP(sockaddr: Uint8Array): string {
  const isIPv4 = sockaddr[0] === AF_INET;
  const offset = isIPv4 ? IN_ADDR_OFFSET : IN6_ADDR_OFFSET;
  return String.fromCharCode(...sockaddr.subarray(offset, offset + (isIPv4 ? 4 : 16)));
}

/** The address that a whole sockaddr has. */
export function addressOf(sockaddr: Uint8Array): Address {
  return decodeSockAddr(new DataView(sockaddr.buffer, sockaddr.byteOffset));
}

/** Reads what accept(2) or getsockname(2) wrote at the start of `view`. */
export function decodeSockAddr(view: DataView): Address {
  const isIPv4 = view.getUint16(0, true) === AF_INET;
  const offset = isIPv4 ? IN_ADDR_OFFSET : IN6_ADDR_OFFSET;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, isIPv4 ? 4 : 16);
  return { ip: ipaddr.fromByteArray([...bytes]).toString(), port: view.getUint16(2, false) };
}
