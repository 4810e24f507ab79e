/**
 * A program of its own, in the child's namespaces: opens what tells of changes there, hands it to the
 * driver and ends. A netlink socket and a file of /proc/sys/net stay with the network namespace in
 * which they were opened, whoever reads them.
 */

import { closeSync, openSync } from 'node:fs';
import { Channel } from '../../msg/channel.js';
import { messageOf } from '../../msg/errors.js';
import { Fd, must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { GROUPS, NETLINK_NETFILTER, NETLINK_ROUTE, NOTIFIER_FD } from './netlink.js';
import { SYSCTL_FILES } from './sysctls.js';

/** struct sockaddr_nl: family, padding, port (0: the kernel chooses), groups. */
const SOCKADDR_BYTES = 12;
const GROUPS_OFFSET = 8;

function listenTo(protocol: number, groups: number): Fd {
  const type = linux.SOCK_RAW | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const socket = new Fd(must(libc.socket(linux.AF_NETLINK, type, protocol), 'netlink socket'));
  const { address, view } = libc.allocate(SOCKADDR_BYTES);
  view.setUint16(0, linux.AF_NETLINK, true);
  view.setUint32(GROUPS_OFFSET, groups, true);
  must(libc.bind(socket.number, address, SOCKADDR_BYTES), 'bind of a netlink socket');
  return socket;
}

/** A kernel without IPv6 lacks one. */
function openSysctls(): number[] {
  return SYSCTL_FILES.flatMap((file) => {
    try {
      return openSync(file, 'r');
    } catch {
      return [];
    }
  });
}

function handOver(): void {
  using channel = new Channel(new Fd(NOTIFIER_FD));
  using firewall = listenTo(NETLINK_NETFILTER, GROUPS.firewall);
  using routing = listenTo(NETLINK_ROUTE, GROUPS.routing);
  const sysctls = openSysctls();
  const fds = [firewall.number, routing.number, ...sysctls];
  channel.send({ type: 'notifier', fds: fds.length }, fds);
  sysctls.forEach(closeSync);
}

try {
  handOver();
} catch (error) {
  process.stderr.write(messageOf(error));
  process.exitCode = 1;
}
