/** Why a host address could not be bound, with what its user can do about it. */
import { realpathSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { SluiceError } from '../msg/errors.js';
import { openFilesLimits } from '../msg/open-files.js';
import { type Proto, transportOf } from '../msg/port.js';
import { formatAddress } from '../msg/sockaddr.js';
import { readSysctl, setSysctl } from './sysctl.js';
import { findHolder, type Holder } from './socket-holder.js';

export interface BindTarget {
  /** As bound: `0.0.0.0` or `::` for every address. */
  readonly address: string;
  readonly port: number;
  readonly proto: Proto;
}

// ip-sysctl.rst: one for both families, and for the network namespace of the reader.
const PORT_START = 'net.ipv4.ip_unprivileged_port_start';
const DISABLE_IPV6 = 'net.ipv6.conf.all.disable_ipv6';

/** `errnoName` is that of socket(2), bind(2) or listen(2), for example `EACCES`. */
export async function explainBindError(errnoName: string, at: BindTarget): Promise<SluiceError> {
  const { code, reason } = await explain(errnoName, at);
  const where = `${formatAddress({ ip: at.address, port: at.port })}/${at.proto}`;
  return new SluiceError(code, `cannot listen on ${where}: ${reason}`);
}

interface Explanation {
  readonly code: string;
  readonly reason: string;
}

async function explain(errnoName: string, at: BindTarget): Promise<Explanation> {
  switch (errnoName) {
    case 'EACCES':
    case 'EPERM':
      return { code: 'ERR_BIND_FORBIDDEN', reason: forbidden(errnoName, at.port) };
    case 'EADDRINUSE':
      return {
        code: 'ERR_BIND_IN_USE',
        reason: inUse(await findHolder({ ...at, transport: transportOf(at.proto) })),
      };
    case 'EADDRNOTAVAIL':
      return { code: 'ERR_BIND_NO_ADDRESS', reason: noAddress(at) };
    case 'EAFNOSUPPORT':
      return {
        code: 'ERR_BIND_NO_IPV6',
        reason: `this kernel runs without IPv6; publish on an IPv4 address, with ${at.proto.replace(/[46]$/, '')}4`,
      };
    case 'EMFILE':
      return { code: 'ERR_BIND_FILES', reason: outOfFiles() };
    default:
      return { code: 'ERR_BIND', reason: errnoName };
  }
}

function forbidden(errnoName: string, port: number): string {
  const start = Number(readSysctl(PORT_START));
  if (port >= start) {
    return `${errnoName}, although ports from ${start} are open to every user; look for a rule of AppArmor, SELinux or seccomp`;
  }
  const binary = realpathSync(process.execPath);
  return (
    `port ${port} is privileged, the lowest port allowed is ${start}, for IPv4 and IPv6 alike; ` +
    `choose a port from ${start}, or allow this one with ` +
    `\`${setSysctl(PORT_START, port)}\` or ` +
    `\`sudo setcap cap_net_bind_service=ep ${binary}\``
  );
}

function inUse(holder: Holder | undefined): string {
  const remedy = 'stop it or choose another port';
  if (holder === undefined) {
    return `the port is in use by a socket that /proc/net does not list; choose another port`;
  }
  if (holder.process !== undefined) {
    const { name, pid } = holder.process;
    return `the port is in use by ${name} (pid ${pid}); ${remedy}`;
  }
  const whose = holder.uid === process.getuid?.() ? 'this user' : 'another user';
  return `the port is in use by a process of ${whose} (uid ${holder.uid}) that cannot be looked into; ${remedy}`;
}

function noAddress({ address }: BindTarget): string {
  if (isIPv6(address) && readSysctl(DISABLE_IPV6) === '1') {
    return `IPv6 is switched off (${DISABLE_IPV6}=1); publish on an IPv4 address or switch it on with \`${setSysctl(DISABLE_IPV6, 0)}\``;
  }
  return `${address} is not an address of this host; \`ip -brief address\` lists those`;
}

/** Without opening a file, which would fail as well. */
function outOfFiles(): string {
  const { soft, hard } = openFilesLimits();
  return `the limit of ${soft} open files is reached (hard limit ${hard}); raise it with \`ulimit -n\`, or LimitNOFILE= in a systemd unit, and start again`;
}
