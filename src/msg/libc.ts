/**
 * libc, called directly. The only user of koffi.
 *
 * Every function returns what the call returned, or the negative errno: the kernel's own
 * convention. Parameters are integers only, pointers included (addresses of `Region` memory),
 * because that is what keeps a call near 30 ns; a Buffer or a null costs two to four times that.
 * Nothing here blocks, except `epollWait` with a time limit and `pollAsync`, which runs on a
 * thread of libuv's pool.
 */

import { arch } from 'node:os';
import { koffi } from './koffi.js';

const lib = koffi.load('libc.so.6');

type Native = (...args: number[]) => number;

function native(name: string, result: string, ...parameters: string[]): Native {
  return lib.func(name, result, parameters);
}

const errnoAddress = native('__errno_location', 'uintptr_t')();
/** errno of the main thread. Anything that Node does may overwrite it: read it on the next line. */
const errno = new Int32Array(koffi.view(errnoAddress, 4));

function checked(result: number): number {
  return result < 0 ? -(errno[0] as number) : result;
}

const WNOHANG = 1;
const ENOSYS = 38;
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
/** From before all architectures got the same numbers; 0 where we don't know it. */
const SCHED_SETATTR_NUMBERS: Readonly<Record<string, number>> = { x64: 314, arm64: 274 };
const SYS_SCHED_SETATTR = SCHED_SETATTR_NUMBERS[arch()] ?? 0;

const FD = 'int';
const INT = 'int';
const SIZE = 'size_t';
const SSIZE = 'intptr_t';
const POINTER = 'uintptr_t';

const $mmap = native('mmap', 'intptr_t', POINTER, SIZE, INT, INT, INT, 'intptr_t');
const $munmap = native('munmap', INT, POINTER, SIZE);
const $madvise = native('madvise', INT, POINTER, SIZE, INT);
const $socket = native('socket', INT, INT, INT, INT);
const $socketpair = native('socketpair', INT, INT, INT, INT, POINTER);
const $bind = native('bind', INT, FD, POINTER, INT);
const $listen = native('listen', INT, FD, INT);
const $accept4 = native('accept4', INT, FD, POINTER, POINTER, INT);
const $connect = native('connect', INT, FD, POINTER, INT);
const $getsockname = native('getsockname', INT, FD, POINTER, POINTER);
const $getsockopt = native('getsockopt', INT, FD, INT, INT, POINTER, POINTER);
const $setsockopt = native('setsockopt', INT, FD, INT, INT, POINTER, INT);
const $shutdown = native('shutdown', INT, FD, INT);
const $close = native('close', INT, FD);
const $recv = native('recv', SSIZE, FD, POINTER, SIZE, INT);
const $send = native('send', SSIZE, FD, POINTER, SIZE, INT);
const $recvmsg = native('recvmsg', SSIZE, FD, POINTER, INT);
const $sendmsg = native('sendmsg', SSIZE, FD, POINTER, INT);
const $recvmmsg = native('recvmmsg', INT, FD, POINTER, 'uint', INT, POINTER);
const $sendmmsg = native('sendmmsg', INT, FD, POINTER, 'uint', INT);
const $splice = native('splice', SSIZE, FD, POINTER, FD, POINTER, SIZE, INT);
const $pipe2 = native('pipe2', INT, POINTER, INT);
// Variadic in C; integer arguments travel in the same registers on every Linux ABI that we run on.
const $fcntl = native('fcntl', INT, FD, INT, SSIZE);
const $ioctl = native('ioctl', INT, FD, 'ulong', POINTER);
const $dup = native('dup', INT, FD);
const $prctl = native('prctl', INT, INT, 'ulong', 'ulong', 'ulong', 'ulong');
const $getrlimit = native('getrlimit', INT, INT, POINTER);
const $setrlimit = native('setrlimit', INT, INT, POINTER);
const $epollCreate1 = native('epoll_create1', INT, INT);
const $epollCtl = native('epoll_ctl', INT, INT, INT, FD, POINTER);
const $epollWait = native('epoll_wait', INT, INT, POINTER, INT, INT);
const $schedYield = native('sched_yield', INT);
const $getrandom = native('getrandom', SSIZE, POINTER, SIZE, 'uint');
const $flock = native('flock', INT, FD, INT);
const $signal = native('signal', POINTER, INT, POINTER);
const $setns = native('setns', INT, FD, INT);
const $waitpid = native('waitpid', INT, INT, POINTER, INT);
// glibc names the pidfd calls from 2.36 on only; their numbers are the same on every architecture.
const $syscall = native('syscall', 'long', 'long', 'long', 'long', 'long', 'long');
const $poll = lib.func('poll', 'int', [POINTER, 'ulong', 'int']);
const $memfdCreate = lib.func('memfd_create', 'int', ['str', 'uint']);
const $getxattr = lib.func('getxattr', SSIZE, ['str', 'str', POINTER, SIZE]);
const $execve = lib.func('execve', 'int', ['str', 'const char **', 'const char **']);

/** Memory outside V8's heap: it never moves, so its address can be given to the kernel. */
export interface Region {
  readonly address: number;
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** Zeroed pages that live as long as the process. Throws when the kernel has none to give. */
export function allocate(bytes: number): Region {
  const address = mapPages(bytes);
  if (address < 0) throw new Error(`mmap of ${bytes} bytes failed with errno ${-address}`);
  const memory = koffi.view(address, bytes);
  return { address, bytes: Buffer.from(memory), view: new DataView(memory) };
}

function mapPages(bytes: number): number {
  const PROT_READ_WRITE = 3;
  const MAP_PRIVATE_ANONYMOUS = 0x22;
  return checked($mmap(0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
}

/** Whether the process could be given so much memory. It takes none. */
export function hasRoomFor(bytes: number): boolean {
  const address = mapPages(bytes);
  if (address < 0) return false;
  $munmap(address, bytes);
  return true;
}

/** The region reads as zeroes from now on, and takes memory again once it is written to. */
export function giveBackPages({ address, bytes }: Region): void {
  const MADV_DONTNEED = 4;
  $madvise(address, bytes.length, MADV_DONTNEED);
}

export const socket = (domain: number, type: number, protocol: number) =>
  checked($socket(domain, type, protocol));
export const socketpair = (domain: number, type: number, protocol: number, fds: number) =>
  checked($socketpair(domain, type, protocol, fds));
export const bind = (fd: number, address: number, length: number) =>
  checked($bind(fd, address, length));
export const listen = (fd: number, backlog: number) => checked($listen(fd, backlog));
export const accept4 = (fd: number, address: number, length: number, flags: number) =>
  checked($accept4(fd, address, length, flags));
export const connect = (fd: number, address: number, length: number) =>
  checked($connect(fd, address, length));
export const getsockname = (fd: number, address: number, length: number) =>
  checked($getsockname(fd, address, length));
export const getsockopt = (fd: number, level: number, name: number, value: number, size: number) =>
  checked($getsockopt(fd, level, name, value, size));
export const setsockopt = (fd: number, level: number, name: number, value: number, size: number) =>
  checked($setsockopt(fd, level, name, value, size));
export const shutdown = (fd: number, how: number) => checked($shutdown(fd, how));
export const close = (fd: number) => checked($close(fd));
export const recv = (fd: number, buffer: number, length: number, flags: number) =>
  checked($recv(fd, buffer, length, flags));
export const send = (fd: number, buffer: number, length: number, flags: number) =>
  checked($send(fd, buffer, length, flags));
export const recvmsg = (fd: number, message: number, flags: number) =>
  checked($recvmsg(fd, message, flags));
export const sendmsg = (fd: number, message: number, flags: number) =>
  checked($sendmsg(fd, message, flags));
/** Without a time limit: the sockets don't block. */
export const recvmmsg = (fd: number, messages: number, count: number, flags: number) =>
  checked($recvmmsg(fd, messages, count, flags, 0));
export const sendmmsg = (fd: number, messages: number, count: number, flags: number) =>
  checked($sendmmsg(fd, messages, count, flags));
/** Both offsets are null: neither sockets nor pipes have one. */
export const splice = (from: number, to: number, length: number, flags: number) =>
  checked($splice(from, 0, to, 0, length, flags));
export const pipe2 = (fds: number, flags: number) => checked($pipe2(fds, flags));
export const fcntl = (fd: number, command: number, argument: number) =>
  checked($fcntl(fd, command, argument));
export const ioctl = (fd: number, request: number, argument: number) =>
  checked($ioctl(fd, request, argument));
export const dup = (fd: number) => checked($dup(fd));
export const prctl = (option: number, argument: number) =>
  checked($prctl(option, argument, 0, 0, 0));
export const getrlimit = (resource: number, limits: number) =>
  checked($getrlimit(resource, limits));
export const setrlimit = (resource: number, limits: number) =>
  checked($setrlimit(resource, limits));
export const epollCreate1 = (flags: number) => checked($epollCreate1(flags));
export const epollCtl = (epfd: number, operation: number, fd: number, event: number) =>
  checked($epollCtl(epfd, operation, fd, event));
export const epollWait = (epfd: number, events: number, max: number, timeoutMs: number) =>
  checked($epollWait(epfd, events, max, timeoutMs));

/** Lets other threads that wait for this core run first. */
export const schedYield = () => checked($schedYield());

/** struct sched_attr at `attributes`, for this thread. */
export const schedSetattr = (attributes: number) =>
  SYS_SCHED_SETATTR === 0 ? -ENOSYS : checked($syscall(SYS_SCHED_SETATTR, 0, attributes, 0, 0));

/** Fills up to 256 bytes, and all of them. */
export const getrandom = (buffer: number, length: number) => checked($getrandom(buffer, length, 0));
export const flock = (fd: number, operation: number) => checked($flock(fd, operation));
/** SIG_IGN of signal(2), for good: execve(2) keeps it. */
export const ignoreSignal = (signal: number) => $signal(signal, 1);
/** A file without a name, closed on exec. */
export const memfdCreate = (name: string) => checked($memfdCreate(name, 1) as number);
/** Of this thread alone: setns(2). */
export const setns = (fd: number, kind: number) => checked($setns(fd, kind));
/** Takes note of a child's end without waiting for it. */
export const reap = (pid: number) => checked($waitpid(pid, 0, WNOHANG));
export const pidfdOpen = (pid: number) => checked($syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0));
export const pidfdGetfd = (pidfd: number, fd: number) =>
  checked($syscall(SYS_PIDFD_GETFD, pidfd, fd, 0, 0));
export const pidfdSendSignal = (pidfd: number, signal: number) =>
  checked($syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0));
export const poll = (fds: number, count: number, timeoutMs: number) =>
  checked($poll(fds, count, timeoutMs) as number);

/**
 * poll(2) on a thread of libuv's pool: resolves with the number of ready fds, 0 after the time
 * limit, negative on failure (without its errno, which belongs to that thread).
 */
export function pollAsync(fds: number, count: number, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: number) => (error ? reject(error) : resolve(result));
    ($poll.async as (...args: unknown[]) => void)(fds, count, timeoutMs, done);
  });
}

/** With a size of 0 the length of the attribute's value. */
export const getxattr = (path: string, name: string, value: number, size: number) =>
  checked($getxattr(path, name, value, size) as number);

/** Replaces this process. Returns (the negative errno) only when that failed. */
export function execve(path: string, argv: readonly string[], envp: readonly string[]): number {
  return checked($execve(path, [...argv, null], [...envp, null]) as number);
}
