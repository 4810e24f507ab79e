/**
 * Kernel constants, named as in the uapi headers (asm-generic; x86-64 and arm64 agree on all of
 * them unless a line says otherwise).
 */

import { arch, constants } from 'node:os';

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_OOBINLINE = 10;
export const SO_LINGER = 13;
export const SO_PEERCRED = 17;
export const SO_ATTACH_FILTER = 26;
export const SO_ACCEPTCONN = 30;
export const SO_MARK = 36;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_MEMINFO = 55;
/** Index of its u32: bytes that were sent and not acknowledged, and what they take in memory. */
export const SK_MEMINFO_WMEM_QUEUED = 5;

export const IPPROTO_IP = 0;
export const IP_TOS = 1;
export const IP_PKTINFO = 8;
export const IP_RECVTOS = 13;
export const IP_TRANSPARENT = 19;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
export const IPPROTO_SCTP = 132;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_CONGESTION = 13;

export const IPPROTO_IPV6 = 41;
export const IPPROTO_ICMPV6 = 58;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;
export const IPV6_PKTINFO = 50;
export const IPV6_RECVTCLASS = 66;
export const IPV6_TCLASS = 67;
export const IPV6_TRANSPARENT = 75;

export const MSG_PEEK = 0x2;
export const MSG_CTRUNC = 0x8;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const SCM_RIGHTS = 1;

export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** struct epoll_event: events, then data. Packed on x86-64 only. */
export const EPOLL_EVENT_BYTES = arch() === 'x64' ? 12 : 16;
export const EPOLL_DATA_OFFSET = arch() === 'x64' ? 4 : 8;

export const EPOLL_CLOEXEC = SOCK_CLOEXEC;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const POLLOUT = 0x4;
export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
/** Bit 31: negative as a 32-bit integer, which is how events are written and read here. */
export const EPOLLET = 1 << 31;
/** Of several epoll sets that wait for one file, not all are woken. */
export const EPOLLEXCLUSIVE = 1 << 28;

export const CLONE_NEWNET = 0x40000000;

export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;

export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const F_GETFL = 3;
export const F_SETFD = 2;
export const FD_CLOEXEC = 1;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const F_SETPIPE_SZ = 1031;
/** Bytes in a socket's send queue that the peer hasn't acknowledged. */
export const SIOCOUTQ = 0x5411;
export const SIOCGIFNAME = 0x8910;
export const SIOCGIFFLAGS = 0x8913;
export const SIOCSIFFLAGS = 0x8914;
export const SIOCGIFINDEX = 0x8933;
export const IFF_UP = 1;

export const RLIMIT_NOFILE = 7;

export const PR_SET_DUMPABLE = 4;
export const LOCK_EX = 2;
export const LOCK_NB = 4;

/** Errno values that steer forwarding, negative as the libc bindings return them. */
const { errno } = constants;
export const EPERM = -errno.EPERM;
export const EACCES = -errno.EACCES;
export const EIO = -errno.EIO;
export const ESRCH = -errno.ESRCH;
export const EAGAIN = -errno.EAGAIN;
export const ENOMEM = -errno.ENOMEM;
export const ENFILE = -errno.ENFILE;
export const EINVAL = -errno.EINVAL;
export const EMFILE = -errno.EMFILE;
export const ENOSPC = -errno.ENOSPC;
export const EPIPE = -errno.EPIPE;
export const ENOBUFS = -errno.ENOBUFS;
export const EMSGSIZE = -errno.EMSGSIZE;
export const ENETUNREACH = -errno.ENETUNREACH;
export const EHOSTUNREACH = -errno.EHOSTUNREACH;
export const ECONNREFUSED = -errno.ECONNREFUSED;
export const ECONNRESET = -errno.ECONNRESET;
/** Of SCTP: the peer has asked for the end. node:os has no such constant. */
export const ESHUTDOWN = -108;
export const EINPROGRESS = -errno.EINPROGRESS;
export const EPROTONOSUPPORT = -errno.EPROTONOSUPPORT;
export const EAFNOSUPPORT = -errno.EAFNOSUPPORT;
export const EADDRINUSE = -errno.EADDRINUSE;
export const EADDRNOTAVAIL = -errno.EADDRNOTAVAIL;
