/** Options of every UDP socket on the data path: the host's and those towards servers. */

import * as libc from './libc.js';
import * as linux from './linux.js';

/**
 * Of the receive and of the send queue: what a burst may bring while the agent is busy with others.
 * The kernel lowers it to net.core.rmem_max and wmem_max, and doubles it.
 */
const QUEUE_BYTES = 4 * 1024 * 1024;

const scratch = libc.allocate(4096);

/** Each is an improvement only: a kernel that lacks one forwards without it. */
export function setDatagramOptions(fd: number, family: number): void {
  setOption(fd, linux.SOL_SOCKET, linux.SO_RCVBUF, QUEUE_BYTES);
  setOption(fd, linux.SOL_SOCKET, linux.SO_SNDBUF, QUEUE_BYTES);
  setOption(fd, linux.IPPROTO_UDP, linux.UDP_GRO, 1);
  if (family === linux.AF_INET) setOption(fd, linux.IPPROTO_IP, linux.IP_RECVTOS, 1);
  else setOption(fd, linux.IPPROTO_IPV6, linux.IPV6_RECVTCLASS, 1);
}

/**
 * Datagrams tell which local address they were sent to. To be set before bind: it is noted as a
 * datagram comes in, not as it is read.
 */
export function setPktinfo(fd: number, family: number): void {
  if (family === linux.AF_INET) setOption(fd, linux.IPPROTO_IP, linux.IP_PKTINFO, 1);
  else setOption(fd, linux.IPPROTO_IPV6, linux.IPV6_RECVPKTINFO, 1);
}

function setOption(fd: number, level: number, name: number, value: number): void {
  scratch.view.setInt32(0, value, true);
  libc.setsockopt(fd, level, name, scratch.address, 4);
}
