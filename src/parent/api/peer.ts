/** Who is at the other end of a unix socket: SO_PEERCRED of unix(7). */

import type { Socket } from 'node:net';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';

/** struct ucred: pid, uid, gid. */
const UCRED_BYTES = 12;
const UID_OFFSET = 4;
const LENGTH_OFFSET = 16;
const ROOT = 0;

const scratch = libc.allocate(LENGTH_OFFSET + 4);

/** The user who connected; undefined when the connection is gone. */
export function peerUid(socket: Socket): number | undefined {
  const fd = fdOf(socket);
  scratch.view.setUint32(LENGTH_OFFSET, UCRED_BYTES, true);
  const { address } = scratch;
  const length = address + LENGTH_OFFSET;
  const result = libc.getsockopt(fd, linux.SOL_SOCKET, linux.SO_PEERCRED, address, length);
  return result < 0 ? undefined : scratch.view.getUint32(UID_OFFSET, true);
}

/** Ourselves, and the machine's root, whom nothing keeps out. */
export function isTrusted(uid: number | undefined): boolean {
  return uid === process.getuid?.() || uid === ROOT;
}

/** Node has no public name for it. */
function fdOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}
