/**
 * What netlink says of changes: which of its messages could be about us. Sources: netlink(7),
 * rtnetlink(7), linux/netfilter/nfnetlink.h, linux/rtnetlink.h.
 */

import { ROUTE_TABLE } from './rules.js';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** The notifier's end of the channel to the driver. */
export const NOTIFIER_FD = 3;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTA_TABLE = 15;

const NFNLGRP_NFTABLES = 7;
const RTNLGRP_LINK = 1;
const RTNLGRP_IPV4_ROUTE = 7;
const RTNLGRP_IPV4_RULE = 8;
const RTNLGRP_IPV6_ROUTE = 11;
const RTNLGRP_IPV6_RULE = 19;

export const GROUPS = {
  firewall: maskOf(NFNLGRP_NFTABLES),
  routing: maskOf(
    RTNLGRP_LINK,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV6_RULE,
  ),
};

/** struct nlmsghdr, then struct ifinfomsg or struct rtmsg, then attributes. */
const HEADER_BYTES = 16;
const IFINDEX_OFFSET = HEADER_BYTES + 4;
const RTMSG_BYTES = 12;
const ATTRIBUTE_BYTES = 4;

/** lo is the first device of every network namespace. */
const LOOPBACK_INDEX = 1;

/** Our table and our chains have the word in their names; every message has the name of its table. */
const NAMES = ['sluice\0', 'SLUICE-'];

export function isAboutFirewall(messages: Buffer): boolean {
  return NAMES.some((name) => messages.includes(name, 0, 'latin1'));
}

/**
 * A rule, a route of our table, or lo, with which our routes go without a word of their own. What
 * makes no sense counts as about us.
 */
export function isAboutRouting(messages: Buffer): boolean {
  for (let at = 0; at + HEADER_BYTES <= messages.length; ) {
    const length = messages.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > messages.length) return true;
    if (isRoutingMessage(messages.subarray(at, at + length))) return true;
    at += aligned(length);
  }
  return false;
}

function isRoutingMessage(message: Buffer): boolean {
  switch (message.readUInt16LE(4)) {
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return true;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return (
        message.length < IFINDEX_OFFSET + 4 ||
        message.readInt32LE(IFINDEX_OFFSET) === LOOPBACK_INDEX
      );
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return tableOf(message) === ROUTE_TABLE;
    default:
      return false;
  }
}

/** Undefined for a message without the attribute. */
function tableOf(message: Buffer): number | undefined {
  for (let at = HEADER_BYTES + RTMSG_BYTES; at + ATTRIBUTE_BYTES <= message.length; ) {
    const length = message.readUInt16LE(at);
    if (length < ATTRIBUTE_BYTES || at + length > message.length) return undefined;
    const isTable = message.readUInt16LE(at + 2) === RTA_TABLE;
    if (isTable && length >= 2 * ATTRIBUTE_BYTES) return message.readUInt32LE(at + ATTRIBUTE_BYTES);
    at += aligned(length);
  }
  return undefined;
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function maskOf(...groups: readonly number[]): number {
  return groups.reduce((mask, group) => mask | (1 << (group - 1)), 0);
}
