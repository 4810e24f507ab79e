// Usage: udp-sink.mjs ADDRESS PORT. Counts the datagrams of a run, and answers commands.
import { must } from '../../../dist/msg/fd.js';
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
  setOption,
  watch,
  writeHeader,
} from './udp.mjs';

const MAX_MESSAGE_BYTES = 65536;
const NAME_BYTES = 32;
const WAIT_MS = 1000;

const [address = '', port = ''] = process.argv.slice(2);
const fd = openUdp(libc.bind, address, Number(port));
setOption(fd, linux.IPPROTO_UDP, linux.UDP_GRO, 1);
const epoll = watch(fd);
const buffer = libc.allocate(MAX_MESSAGE_BYTES);
const header = libc.allocate(HEADER_BYTES);
const run = { datagrams: 0, bytes: 0, firstAt: 0, lastAt: 0 };

/** Merged segments are of one size; only the last one may be shorter. Counts all but a command. */
function take(/** @type {number} */ length) {
  const isMerged = header.view.getBigUint64(40, true) > 0n;
  const size = isMerged ? header.view.getUint16(CONTROL + 16, true) : length;
  const last = length % size || size;
  const isCommand = last === COMMAND_BYTES;
  const bytes = isCommand ? length - last : length;
  if (bytes > 0) {
    run.lastAt = performance.now();
    if (run.datagrams === 0) run.firstAt = run.lastAt;
    run.datagrams += Math.ceil(bytes / size);
    run.bytes += bytes;
  }
  if (isCommand) answer(length - last);
}

function answer(/** @type {number} */ offset) {
  const nameBytes = header.view.getUint32(8, true);
  const command = buffer.bytes[offset];
  if (command === RESET) Object.assign(run, { datagrams: 0, bytes: 0 });
  if (command === REPORT) {
    const { datagrams, bytes, firstAt, lastAt } = run;
    const text = JSON.stringify({ datagrams, bytes, ms: lastAt - firstAt });
    buffer.bytes.write(text.padEnd(COMMAND_BYTES), offset);
    send(offset, Math.max(text.length, COMMAND_BYTES), nameBytes);
  } else {
    send(offset, COMMAND_BYTES, nameBytes);
  }
}

/** To whom the last message came from. */
function send(/** @type {number} */ offset, /** @type {number} */ length, nameBytes = 0) {
  writeHeader(header, buffer, { nameBytes });
  header.view.setBigUint64(IOVEC, BigInt(buffer.address + offset), true);
  header.view.setBigUint64(IOVEC + 8, BigInt(length), true);
  libc.sendmsg(fd, header.address, linux.MSG_NOSIGNAL);
}

for (;;) {
  writeHeader(header, buffer, { nameBytes: NAME_BYTES, controlBytes: CONTROL_BYTES });
  const length = libc.recvmsg(fd, header.address, linux.MSG_DONTWAIT);
  if (length > 0) take(length);
  else if (length === linux.EAGAIN) isReadable(epoll, WAIT_MS);
  else if (length < 0) must(length, 'recvmsg');
}
