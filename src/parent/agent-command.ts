/**
 * How an agent is started: in the child's namespaces, with no right that it doesn't use.
 *
 * setpriv(1) gives the rights up before Node starts, because capabilities belong to threads, and
 * Node has several before the first line of ours runs. The parent's user is root in there, so the
 * agent's capabilities are what is left of the bounding set: capabilities(7), "Capabilities and
 * execution of programs by root".
 */

import { release } from 'node:os';
import { type Enterable, nsenterOptions } from './nsenter.js';
import { programPath } from './package-folder.js';

const AGENT_MAIN = programPath('child/main.js');

/** For IP_TRANSPARENT and SO_MARK, and for a client whose own port is a privileged one. */
const AS_CLIENT = ['net_raw', 'net_bind_service'] as const;
/** From this version on SO_MARK takes CAP_NET_RAW, before only CAP_NET_ADMIN: socket(7). */
const MARK_WITH_NET_RAW = { major: 5, minor: 17 } as const;

/** The mount namespace stays ours: Node and this program are there. */
export function agentCommand(child: Enterable, bearsClients: boolean): [string, ...string[]] {
  return [
    'nsenter',
    ...nsenterOptions(child),
    '--',
    'setpriv',
    `--bounding-set=${['-all', ...capabilities(bearsClients).map((name) => `+${name}`)].join()}`,
    '--inh-caps=-all',
    '--ambient-caps=-all',
    '--no-new-privs',
    process.execPath,
    AGENT_MAIN,
  ];
}

/** Named as setpriv does. `bearsClients`: its sockets take clients' addresses. */
export function capabilities(bearsClients: boolean, kernel = release()): readonly string[] {
  if (!bearsClients) return [];
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  const { major: since, minor: sinceMinor } = MARK_WITH_NET_RAW;
  const takesNetRaw = major > since || (major === since && minor >= sinceMinor);
  return takesNetRaw ? AS_CLIENT : [...AS_CLIENT, 'net_admin'];
}
