/**
 * Runs a program to which the kernel answers pidfd_getfd(2) with EPERM, as ptrace_scope 3 and some
 * security modules do: by a seccomp(2) filter, which takes no privileges.
 *
 * Usage: refuse-pidfd-getfd.mjs PATH ARGUMENT...
 */
import { koffi } from '../../dist/msg/koffi.js';
import * as libc from '../../dist/msg/libc.js';
import { execve } from '../../dist/msg/process.js';

const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
const SYS_PIDFD_GETFD = 438;
const EPERM = 1;
const F_SETFD = 2;
const [LOAD, JUMP_IF_EQUAL, RETURN] = [0x20, 0x15, 0x06];
const [ERRNO, ALLOW] = [0x5_0000, 0x7fff_0000];

/** struct sock_filter: a code, two jumps, a value. The first one loads the call's number. */
const FILTER = [
  [LOAD, 0, 0, 0],
  [JUMP_IF_EQUAL, 0, 1, SYS_PIDFD_GETFD],
  [RETURN, 0, 0, ERRNO | EPERM],
  [RETURN, 0, 0, ALLOW],
];

/** struct sock_fprog, a length and a pointer, then the filter. */
const { address, view } = libc.allocate(4096);
view.setUint16(0, FILTER.length, true);
view.setBigUint64(8, BigInt(address + 16), true);
for (const [index, [code, whenTrue, whenFalse, value]] of FILTER.entries()) {
  const at = 16 + 8 * index;
  view.setUint16(at, code, true);
  view.setUint8(at + 2, whenTrue);
  view.setUint8(at + 3, whenFalse);
  view.setUint32(at + 4, value, true);
}

const prctl = koffi
  .load('libc.so.6')
  .func('prctl', 'int', ['int', 'ulong', 'uintptr_t', 'ulong', 'ulong']);
for (const [option, argument, pointer] of [
  [PR_SET_NO_NEW_PRIVS, 1, 0],
  [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address],
]) {
  if (prctl(option, argument, pointer, 0, 0) !== 0) throw new Error(`prctl(${option}) failed`);
}
// Node.js has marked these as close-on-exec.
for (const fd of [0, 1, 2]) libc.fcntl(fd, F_SETFD, 0);
const [, , path, ...args] = process.argv;
execve(path, [path, ...args], process.env);
