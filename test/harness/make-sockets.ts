/**
 * A program: makes unbound sockets in the network namespace that it runs in, passes them out
 * through fd 3, and ends. A socket keeps its namespace, so a test can be server and client at once.
 *
 * Usage: make-sockets.ts FAMILY PROTOCOL COUNT
 */
import { Channel } from '../../dist/msg/channel.js';
import { Fd } from '../../dist/msg/fd.js';
import { newSocket } from './socket.js';

const [family = 0, protocol = 0, count = 0] = process.argv.slice(2).map(Number);
const fds = Array.from({ length: count }, () => newSocket(family, protocol).number);
new Channel(new Fd(3)).send({ fds: fds.length }, fds);
