/**
 * A program of its own: brings up `lo`, which is down in a network namespace that nobody has set up
 * yet. The agent can't: it has no CAP_NET_ADMIN.
 */

import { messageOf } from '../msg/errors.js';
import { Fd, must } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';

/** struct ifreq: the interface's name, then here its flags as a short. */
const IFREQ_BYTES = 40;
const IFR_FLAGS_OFFSET = 16;

function bringLoopbackUp(): void {
  const type = linux.SOCK_STREAM | linux.SOCK_CLOEXEC;
  using socket = new Fd(must(libc.socket(linux.AF_INET, type, 0), 'socket'));
  const ifreq = libc.allocate(IFREQ_BYTES);
  ifreq.bytes.write('lo\0', 'latin1');
  must(libc.ioctl(socket.number, linux.SIOCGIFFLAGS, ifreq.address), 'reading the flags of lo');
  const flags = ifreq.view.getUint16(IFR_FLAGS_OFFSET, true);
  ifreq.view.setUint16(IFR_FLAGS_OFFSET, flags | linux.IFF_UP, true);
  must(libc.ioctl(socket.number, linux.SIOCSIFFLAGS, ifreq.address), 'bringing up lo');
}

try {
  bringLoopbackUp();
} catch (error) {
  process.stderr.write(`sluice: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
