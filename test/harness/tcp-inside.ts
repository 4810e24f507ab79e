/**
 * A program: makes unbound sockets in the network namespace that it runs in, passes them out
 * through fd 3, and ends. A socket keeps its namespace, so a test can be server and client at once.
 *
 * Usage: tcp-inside.ts FAMILY COUNT TYPE
 */
import { Channel } from '../../dist/msg/channel.js';
import { Fd, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import * as linux from '../../dist/msg/linux.js';

const [family, count, kind = linux.SOCK_STREAM] = process.argv.slice(2).map(Number);
const type = kind | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
const fds = Array.from({ length: count ?? 0 }, () =>
  must(libc.socket(family ?? linux.AF_INET, type, 0), 'socket'),
);
new Channel(new Fd(3)).send({ fds: fds.length }, fds);
