/**
 * Bytes and file descriptors over a unix socket: unix(7), cmsg(3).
 */

import { SluiceError } from './errors.js';
import { errnoName, Fd } from './fd.js';
import * as libc from './libc.js';
import * as linux from './linux.js';
import { MAX_FDS_PER_MESSAGE } from './protocol.js';

const IOVEC_OFFSET = 56;
const CONTROL_OFFSET = 72;
const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = CMSG_HEADER_BYTES + 4 * MAX_FDS_PER_MESSAGE;
const DATA_OFFSET = 256;
const DATA_BYTES = 64 * 1024;
/** struct msghdr at 0, its iovec, its control buffer, then the data: shared by all channels. */
const scratch = libc.allocate(DATA_OFFSET + DATA_BYTES);

/** A connected pair of non-blocking sockets, both closed on exec. */
export function socketPair(kind = linux.SOCK_STREAM): [Fd, Fd] {
  const type = kind | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const result = libc.socketpair(linux.AF_UNIX, type, 0, scratch.address);
  if (result < 0) throw failure('socketpair', result);
  return [new Fd(scratch.view.getInt32(0, true)), new Fd(scratch.view.getInt32(4, true))];
}

/** Returns how many bytes went, or the negative errno. */
export function sendWithFds(socket: number, bytes: Buffer, fds: readonly number[]): number {
  const length = Math.min(bytes.length, DATA_BYTES);
  scratch.bytes.set(bytes.subarray(0, length), DATA_OFFSET);
  const controlBytes = fds.length === 0 ? 0 : CMSG_HEADER_BYTES + 4 * fds.length;
  layOutMessage(length, controlBytes === 0 ? 0 : (controlBytes + 7) & ~7);
  if (controlBytes > 0) {
    scratch.view.setBigUint64(CONTROL_OFFSET, BigInt(controlBytes), true);
    scratch.view.setInt32(CONTROL_OFFSET + 8, linux.SOL_SOCKET, true);
    scratch.view.setInt32(CONTROL_OFFSET + 12, linux.SCM_RIGHTS, true);
    const data = CONTROL_OFFSET + CMSG_HEADER_BYTES;
    fds.forEach((fd, index) => scratch.view.setInt32(data + 4 * index, fd, true));
  }
  return libc.sendmsg(socket, scratch.address, linux.MSG_NOSIGNAL | linux.MSG_DONTWAIT);
}

/** Appends the fds that came along to `arrived`; `receivedBytes` has the data. */
export function receiveWithFds(socket: number, arrived: Fd[]): number {
  layOutMessage(DATA_BYTES, (CONTROL_BYTES + 7) & ~7);
  const flags = linux.MSG_DONTWAIT | linux.MSG_CMSG_CLOEXEC;
  const received = libc.recvmsg(socket, scratch.address, flags);
  if (received <= 0) return received;
  const controlLength = Number(scratch.view.getBigUint64(40, true));
  if (controlLength >= CMSG_HEADER_BYTES) {
    const end = CONTROL_OFFSET + Number(scratch.view.getBigUint64(CONTROL_OFFSET, true));
    for (let at = CONTROL_OFFSET + CMSG_HEADER_BYTES; at < end; at += 4) {
      arrived.push(new Fd(scratch.view.getInt32(at, true)));
    }
  }
  return received;
}

/**
 * Whether the message just received lost fds on the way, because this process may open no more;
 * closes those that made it. Throws when there were simply too many.
 */
export function wereFdsCut(arrived: Fd[]): boolean {
  const isCut = (scratch.view.getInt32(48, true) & linux.MSG_CTRUNC) !== 0;
  if (!isCut) return false;
  if (arrived.length >= MAX_FDS_PER_MESSAGE) {
    throw new SluiceError(
      'ERR_FRAME_FDS',
      `more than ${MAX_FDS_PER_MESSAGE} fds came with one message`,
    );
  }
  for (const fd of arrived.splice(0)) fd.close();
  return true;
}

/** Of the last message received, until the next one. */
export function receivedBytes(count: number): Buffer {
  return scratch.bytes.subarray(DATA_OFFSET, DATA_OFFSET + count);
}

function layOutMessage(dataBytes: number, controlBytes: number): void {
  const { view, address } = scratch;
  view.setBigUint64(0, 0n, true);
  view.setUint32(8, 0, true);
  view.setBigUint64(16, BigInt(address + IOVEC_OFFSET), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, controlBytes === 0 ? 0n : BigInt(address + CONTROL_OFFSET), true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setInt32(48, 0, true);
  view.setBigUint64(IOVEC_OFFSET, BigInt(address + DATA_OFFSET), true);
  view.setBigUint64(IOVEC_OFFSET + 8, BigInt(dataBytes), true);
}

export function failure(call: string, result: number): SluiceError {
  return new SluiceError(errnoName(result), `${call} on the control channel: ${errnoName(result)}`);
}
