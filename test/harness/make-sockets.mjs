/**
 * A program: makes unbound, non-blocking sockets of both families in the network namespace that it
 * runs in, passes them out through fd 3, IPv4 first, and ends. A socket keeps its namespace, so a
 * test can be server and client at once. Not in TypeScript: compiling takes longer than all else in
 * an emulated machine.
 *
 * Usage: make-sockets.mjs TYPE PROTOCOL COUNT, of each family
 */
import { Channel } from '../../dist/msg/channel.js';
import { Fd, must } from '../../dist/msg/fd.js';
import * as libc from '../../dist/msg/libc.js';
import { AF_INET, AF_INET6 } from '../../dist/msg/linux.js';

const [type = 0, protocol = 0, count = 0] = process.argv.slice(2).map(Number);
const fds = [AF_INET, AF_INET6].flatMap((family) =>
  Array.from({ length: count }, () => must(libc.socket(family, type, protocol), 'socket')),
);
new Channel(new Fd(3)).send({ fds: fds.length }, fds);
