/** Whether this user can make user namespaces, and what else an engine needs of them: namespaces(7). */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findRootlesskit } from '../launcher/find.js';
import { quote } from '../shell.js';
import { FORBIDDING_USER_NAMESPACES, setSysctl } from '../sysctl.js';
import { type Finding, failure, ok } from './finding.js';
import type { Machine } from './machine.js';

const CHECK = 'user namespaces';
const APPARMOR_SETTING = 'kernel.apparmor_restrict_unprivileged_userns';
const APPARMOR_FOLDER = '/etc/apparmor.d';
/** Of the other kinds that an engine makes, each with a limit like that of user namespaces. */
const LIMITS = ['user.max_net_namespaces', 'user.max_mnt_namespaces', 'user.max_pid_namespaces'];
const ENOUGH = 28633;

export async function checkUserNamespaces(machine: Machine): Promise<Finding> {
  const { name: limit } = FORBIDDING_USER_NAMESPACES[0];
  const allowed = machine.sysctl(limit);
  if (allowed === undefined) {
    return failure(CHECK, `this kernel has none: there is no ${limit} (CONFIG_USER_NS)`);
  }
  for (const { name, value, remedy } of FORBIDDING_USER_NAMESPACES) {
    if (machine.sysctl(name) !== value) continue;
    if (name !== APPARMOR_SETTING) return forbidden(name, value, remedy);
    return checkProfile(machine);
  }
  for (const name of LIMITS) {
    if (machine.sysctl(name) === '0') return forbidden(name, '0', ENOUGH);
  }
  const { exitCode, output } = await machine.run('unshare', '--user', '--map-root-user', 'true');
  // Without unshare nothing is proved; another check says that it is not there.
  if (exitCode === undefined || exitCode === 0) return ok(CHECK, `${allowed} allowed`);
  return failure(CHECK, `can't be made, although no setting forbids it: ${output}`);
}

function forbidden(name: string, value: string, remedy: string | number): Finding {
  return failure(CHECK, `forbidden by ${name}=${value}`, setSysctl(name, remedy));
}

/** A profile that names rootlesskit's path lets it through: Ubuntu's package has one. */
function checkProfile(machine: Machine): Finding {
  const program = rootlesskitOf(machine);
  // Another check says that there is no rootlesskit.
  if (program === undefined) return ok(CHECK, `restricted by ${APPARMOR_SETTING}=1`);
  const named = profiles().find((file) => machine.read(file)?.includes(program));
  if (named !== undefined) return ok(CHECK, `AppArmor allows them to ${program} (${named})`);
  const file = join(APPARMOR_FOLDER, program.slice(1).replaceAll('/', '.'));
  const profile = String.raw`abi <abi/4.0>,\ninclude <tunables/global>\n"${program}" flags=(unconfined) {\n  userns,\n}\n`;
  return failure(
    CHECK,
    `AppArmor forbids them to ${program} (${APPARMOR_SETTING}=1), which no profile names`,
    `printf ${quote(profile)} | sudo tee ${quote(file)} && sudo systemctl restart apparmor`,
  );
}

function profiles(): string[] {
  try {
    return readdirSync(APPARMOR_FOLDER).map((name) => join(APPARMOR_FOLDER, name));
  } catch {
    return [];
  }
}

function rootlesskitOf({ env }: Machine): string | undefined {
  try {
    return findRootlesskit(env);
  } catch {
    return undefined;
  }
}
