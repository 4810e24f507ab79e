import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SluiceError } from '../../src/msg/errors.js';
import type { ChildContext } from '../../src/msg/port.js';
import { DnatResolver, type DnatResolverOptions } from '../../src/parent/dnat/resolver.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { pathWith, REPOSITORY, which } from '../harness/paths.js';

export const DNAT_NEEDS = [
  userNamespaces,
  ...['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy', 'nft'].map(tool),
];

export const FIXTURES = join(REPOSITORY, 'test/fixtures/dnat');

/** Tests run on busy machines: only those of the time limit set a short one. */
export const DEADLINE_MS = 10_000;

export const IPV4 = { proto: 'tcp', ip: '127.0.0.1', port: 8080 } as const;
export const IPV6 = { ...IPV4, ip: '::1' } as const;

/** A resolver, and what it reports. */
export function reporting(child: ChildContext, options: DnatResolverOptions = {}) {
  const problems: string[] = [];
  const onProblem = ({ code, message }: SluiceError): void => {
    problems.push(`${code}: ${message}`);
  };
  const resolver = new DnatResolver(child, { onProblem, timeLimitMs: DEADLINE_MS, ...options });
  return { resolver, problems };
}

interface Publication {
  readonly program?: string;
  readonly ip?: string;
  readonly more?: readonly string[];
}

/** Writes the rule that dockerd writes for port 8080 of `ip`, with `more` in it. */
export async function publish(
  namespace: Namespace,
  to: string,
  { program = 'iptables-nft', ip = IPV4.ip, more = [] }: Publication = {},
): Promise<void> {
  const rule = ['-d', ip, '!', '-i', 'docker0', '-p', 'tcp', '--dport', String(IPV4.port), ...more];
  const command = [program, '-t', 'nat', '-A', 'PREROUTING', ...rule];
  // The machine's own lock file is root's.
  const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
  await runIn(namespace, [...command, '-j', 'DNAT', '--to-destination', to], { env });
}

/** A folder with these programs in it, and a PATH that has it first. */
export function programs(
  cleanup: Cleanup,
  byName: Readonly<Record<string, { readonly script: string } | { readonly link: string }>>,
): { folder: string; path: string } {
  const folder = temporaryFolder(cleanup);
  chmodSync(folder, 0o755);
  for (const [name, program] of Object.entries(byName)) {
    const file = join(folder, name);
    if ('link' in program) symlinkSync(which(program.link) ?? '', file);
    else writeFileSync(file, `#!/bin/sh\n${program.script}\n`, { mode: 0o755 });
  }
  return { folder, path: pathWith(folder) };
}
