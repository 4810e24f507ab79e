/** How programs get into the child's namespaces: nsenter(1). */

import { closeSync, openSync } from 'node:fs';
import { delimiter } from 'node:path';
import type { ChildContext } from '../msg/port.js';

/** Where ip, nft and iptables are; an unprivileged user's PATH often lacks these folders. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** `usernsPath` where it is not to be found by `pid`. */
export type Enterable = ChildContext & { readonly usernsPath?: string };

export type HeldNamespaces = Enterable & Disposable;

/**
 * The same namespaces as files that are held open until disposed of. A process that stands for
 * namespaces may end just before nsenter looks for it, and nsenter would say so on our stderr.
 * Throws when it has ended already.
 */
export function holdNamespaces(child: ChildContext): HeldNamespaces {
  const fds: number[] = [];
  const close = () => fds.splice(0).forEach((fd) => closeSync(fd));
  const hold = (path: string) => {
    const fd = openSync(path, 'r');
    fds.push(fd);
    return `/proc/${process.pid}/fd/${fd}`;
  };
  try {
    const usernsPath = hold(usernsFile(child));
    return { ...child, usernsPath, netnsPath: hold(netnsFile(child)), [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * The user namespace first, with credentials as they are: the parent's user is root in there, its
 * other ids may be unmapped. That gives the capabilities over the network namespace.
 */
export function nsenterOptions(child: Enterable): string[] {
  return ['--preserve-credentials', `--user=${usernsFile(child)}`, `--net=${netnsFile(child)}`];
}

export function usernsFile({ pid, usernsPath }: Enterable): string {
  return usernsPath ?? `/proc/${pid}/ns/user`;
}

export function netnsFile({ pid, netnsPath }: ChildContext): string {
  return netnsPath ?? `/proc/${pid}/ns/net`;
}

/** The PATH for the system's own tools. */
export function systemPath(): string {
  return [process.env['PATH'], ...SYSTEM_FOLDERS].filter(Boolean).join(delimiter);
}
