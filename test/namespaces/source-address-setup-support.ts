/** What the set-up of source addresses may touch, and the programs that it may find. */
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { which } from '../harness/paths.js';

export const NEEDS = [userNamespaces, ...['ip', 'nft', 'iptables', 'ip6tables'].map(tool)];

export const SYSCTLS = [
  'net.ipv4.tcp_fwmark_accept',
  'net.ipv4.fwmark_reflect',
  'net.ipv6.fwmark_reflect',
].map((name) => `/proc/sys/${name.replaceAll('.', '/')}`);

/** Everything of the namespace that the set-up may touch. */
export async function stateOf(child: Namespace): Promise<Record<string, string>> {
  const commands = {
    // The empty tables of iptables-nft, which are of other families, stay.
    nft: ['nft', 'list', 'tables', 'inet'],
    table: ['sh', '-c', 'nft -t list table inet sluice || true'],
    mangle: ['iptables', '-t', 'mangle', '-S'],
    mangle6: ['ip6tables', '-t', 'mangle', '-S'],
    nat: ['iptables', '-t', 'nat', '-S'],
    nat6: ['ip6tables', '-t', 'nat', '-S'],
    rules: ['ip', '-4', 'rule'],
    rules6: ['ip', '-6', 'rule'],
    routes: ['ip', '-4', 'route', 'show', 'table', 'all'],
    routes6: ['ip', '-6', 'route', 'show', 'table', 'all'],
    sysctls: ['cat', ...SYSCTLS],
  };
  const state: Record<string, string> = {};
  for (const [name, command] of Object.entries(commands)) state[name] = await runIn(child, command);
  return state;
}

/** A PATH with nothing on it but these programs; one with a script is that. */
export function pathOf(
  cleanup: Cleanup,
  ...programs: (string | Readonly<Record<string, string>>)[]
): string {
  const folder = temporaryFolder(cleanup);
  for (const program of ['nsenter', 'sh', 'cat', 'tee', ...programs]) {
    if (typeof program === 'string') symlinkSync(which(program) ?? '', join(folder, program));
    else {
      for (const [name, script] of Object.entries(program)) {
        writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      }
    }
  }
  return folder;
}
