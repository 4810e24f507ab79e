// Usage: udp-flood.mjs HOST PORT SIZE AT_ONCE SECONDS [MBIT]. Sends datagrams of SIZE bytes to udp-sink.mjs,
// as fast as it can or at a rate, and prints what of them arrived: {"sent", "received", "ms"}, the
// time between the first and the last of them, as JSON.
//
// AT_ONCE datagrams leave with one system call: 64, the most that UDP_SEGMENT takes, as from a QUIC
// server, or 1, as from most programs. Fewer where they don't fit.
import * as libc from '../../../dist/msg/libc.js';
import * as linux from '../../../dist/msg/linux.js';
import {
  COMMAND_BYTES,
  CONTROL,
  CONTROL_BYTES,
  HEADER_BYTES,
  IOVEC,
  REPORT,
  RESET,
  isReadable,
  openUdp,
  watch,
  writeHeader,
} from './udp.mjs';

const MAX_MESSAGE_BYTES = 65000;
/** At a rate it sends what is due and then sleeps, so that it takes no time from the others. */
const PAUSE_MS = 0.2;
const ANSWER_MS = 100;
const ANSWER_TRIES = 100;

const [host = '', port = '', ...numbers] = process.argv.slice(2);
const [size = 0, atOnce = 0, seconds = 0, mbit = Infinity] = numbers.map(Number);
const segments = Math.min(atOnce, Math.floor(MAX_MESSAGE_BYTES / size));
const fd = openUdp(libc.connect, host, Number(port));
const epoll = watch(fd);
const data = libc.allocate(MAX_MESSAGE_BYTES);
const header = libc.allocate(HEADER_BYTES);
const reply = libc.allocate(4096);

/** Returns the answer; what gets lost is sent again. */
function ask(/** @type {number} */ command) {
  const bytes = Buffer.alloc(COMMAND_BYTES, command);
  for (let attempt = 0; attempt < ANSWER_TRIES; attempt++) {
    reply.bytes.set(bytes);
    libc.send(fd, reply.address, COMMAND_BYTES, linux.MSG_NOSIGNAL);
    if (!isReadable(epoll, ANSWER_MS)) continue;
    let length = 0;
    // Answers to earlier tries may have come as well: the last one counts.
    for (let next = 1; next > 0; ) {
      next = libc.recv(fd, reply.address, reply.bytes.length, linux.MSG_DONTWAIT);
      length = Math.max(length, next);
    }
    if (length > 0) return reply.bytes.toString('latin1', 0, length);
  }
  throw new Error(`no answer from ${host}:${port}`);
}

/** Sends up to `count` datagrams at once; returns how many. */
function send(/** @type {number} */ count) {
  const datagrams = Math.min(count, segments);
  header.view.setBigUint64(IOVEC + 8, BigInt(datagrams * size), true);
  return libc.sendmsg(fd, header.address, linux.MSG_NOSIGNAL) < 0 ? 0 : datagrams;
}

function layOut() {
  data.bytes.fill(0xdb);
  writeHeader(header, data, { controlBytes: CONTROL_BYTES });
  header.view.setBigUint64(CONTROL, 18n, true);
  header.view.setInt32(CONTROL + 8, linux.IPPROTO_UDP, true);
  header.view.setInt32(CONTROL + 12, linux.UDP_SEGMENT, true);
  header.view.setUint16(CONTROL + 16, size, true);
}

function flood() {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const perMs = (mbit * 1000) / 8 / size;
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  let sent = 0;
  for (let now = startedAt; now < endsAt; now = performance.now()) {
    const due = mbit === Infinity ? segments : Math.floor((now - startedAt) * perMs) - sent;
    if (due > 0) sent += send(due);
    else Atomics.wait(clock, 0, 0, PAUSE_MS);
  }
  return sent;
}

/**
 * Once nothing arrives any more.
 * @returns {{ datagrams: number, ms: number }}
 */
function received() {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (let last = ''; ; ) {
    Atomics.wait(clock, 0, 0, 2 * ANSWER_MS);
    const report = ask(REPORT);
    if (report === last)
      return /** @type {{ datagrams: number, ms: number }} */ (JSON.parse(report));
    last = report;
  }
}

layOut();
ask(RESET);
const sent = flood();
const { datagrams, ms } = received();
console.log(JSON.stringify({ sent, received: datagrams, ms }));
