/** The kernel, and its settings. Sources: ip-sysctl.rst, pipe(7), socket(7), listen(2). */
import { AF_INET, IPPROTO_SCTP, SOCK_STREAM } from '../../msg/linux.js';
import { errnoName } from '../../msg/fd.js';
import { setSysctl } from '../sysctl.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';

const OLDEST = { major: 5, minor: 10 } as const;
const PORT_START = 'net.ipv4.ip_unprivileged_port_start';
/** Web servers' port: who can publish it can publish most. */
const HTTP = 80;

/** Each with what it limits and what the kernel's own default is. */
const LOWER_LIMITS = [
  { name: 'net.core.somaxconn', least: 4096, costs: 'bursts of connections are refused' },
  { name: 'net.core.rmem_max', least: 212_992, costs: 'bursts of datagrams are lost' },
  { name: 'net.core.wmem_max', least: 212_992, costs: 'bursts of datagrams are lost' },
];

/** A connection takes two. */
const OPEN_FILES = 65_536;

/** Pages of 4 KiB over all pipes of a user; 0 is no limit. */
const PIPE_PAGES = { name: 'fs.pipe-user-pages-soft', least: 16_384 } as const;

export function checkKernel({ release }: Machine): Finding {
  const [major = 0, minor = 0] = release.split(/[.-]/, 2).map(Number);
  const isOld = major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor);
  if (!isOld) return ok('kernel', release);
  return failure('kernel', `${release} is older than ${OLDEST.major}.${OLDEST.minor}`);
}

export function checkLowestPort(machine: Machine): Finding {
  const check = 'lowest port';
  const start = Number(machine.sysctl(PORT_START) ?? 0);
  if (start <= HTTP) return ok(check, `ports from ${start} can be published`);
  return warning(
    check,
    `only ports from ${start} can be published (${PORT_START})`,
    setSysctl(PORT_START, HTTP),
  );
}

export function checkSctp(machine: Machine): Finding {
  const result = machine.trySocket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
  if (result === 0) return ok('sctp', 'sockets can be made');
  return warning(
    'sctp',
    `SCTP ports can't be published: ${errnoName(result)}`,
    'sudo modprobe sctp',
  );
}

export function checkOpenFiles(machine: Machine): Finding {
  const check = 'open files';
  const limit = machine.maxOpenFiles();
  if (limit >= OPEN_FILES) return ok(check, limit === Infinity ? 'unlimited' : `up to ${limit}`);
  return warning(
    check,
    `the hard limit is ${limit}, which is ${Math.floor(limit / 2)} connections at most`,
    `echo '${machine.user} hard nofile 1048576' | sudo tee /etc/security/limits.d/${machine.user}-nofile.conf`,
  );
}

export function checkPipes(machine: Machine): Finding {
  const { name, least } = PIPE_PAGES;
  const pages = Number(machine.sysctl(name) ?? least);
  if (pages === 0 || pages >= least) {
    return ok('pipes', pages === 0 ? 'unlimited' : `${pages} pages`);
  }
  const text = `${name} is ${pages}: streams are slower below ${least}`;
  return warning('pipes', text, setSysctl(name, least));
}

/** Those that this network namespace doesn't show are passed over. */
export function checkNetworkLimits(machine: Machine): Finding[] {
  return LOWER_LIMITS.flatMap(({ name, least, costs }) => {
    const value = machine.sysctl(name);
    if (value === undefined) return [];
    const check = name.replace('net.core.', '');
    if (Number(value) >= least) return [ok(check, value)];
    const text = `${name} is ${value}, below the kernel's default of ${least}: ${costs}`;
    return [warning(check, text, setSysctl(name, least))];
  });
}
