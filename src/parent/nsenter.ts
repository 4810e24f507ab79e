/** How programs get into the child's namespaces: nsenter(1). */

import { delimiter } from 'node:path';
import type { ChildContext } from '../msg/port.js';

/** Where ip, nft and iptables are; an unprivileged user's PATH often lacks these folders. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/**
 * The user namespace first, with credentials as they are: the parent's user is root in there, its
 * other ids may be unmapped. That gives the capabilities over the network namespace.
 */
export function nsenterOptions(child: ChildContext): string[] {
  return [
    '--preserve-credentials',
    `--user=/proc/${child.pid}/ns/user`,
    `--net=${netnsFile(child)}`,
  ];
}

export function netnsFile({ pid, netnsPath }: ChildContext): string {
  return netnsPath ?? `/proc/${pid}/ns/net`;
}

/** The PATH for the system's own tools. */
export function systemPath(): string {
  return [process.env['PATH'], ...SYSTEM_FOLDERS].filter(Boolean).join(delimiter);
}
