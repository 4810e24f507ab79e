/** Has the kernel forget every connection of this network namespace, as `conntrack -F` does. */
import { must } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';
import { NETLINK_NETFILTER } from '../../src/parent/source-address/netlink.js';

/** linux/netfilter/nfnetlink_conntrack.h: the subsystem, then IPCTNL_MSG_CT_DELETE. */
const CT_DELETE = (1 << 8) | 2;
const NLM_F_REQUEST_AND_ACK = 1 | 4;
/** struct nlmsghdr, and an empty struct nfgenmsg: no filter. */
const BYTES = 16 + 4;
const ERROR_OFFSET = 16;

const socket = must(libc.socket(linux.AF_NETLINK, linux.SOCK_RAW, NETLINK_NETFILTER), 'socket');
const { address, view } = libc.allocate(4096);
view.setUint32(0, BYTES, true);
view.setUint16(4, CT_DELETE, true);
view.setUint16(6, NLM_F_REQUEST_AND_ACK, true);
must(libc.send(socket, address, BYTES, 0), 'send');
must(libc.recv(socket, address, 4096, 0), 'recv');
must(view.getInt32(ERROR_OFFSET, true), 'flushing conntrack');
