/** Subordinate ids, and the programs that map them: subuid(5), newuidmap(1). */
import { statSync } from 'node:fs';
import { quote } from '../shell.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';
import { installCommand } from './packages.js';

/** What images are made for: ids up to that of nobody, 65534. */
const ENOUGH = 65_536;
const SETUID = 0o4000;

const KINDS = {
  subuid: { file: '/etc/subuid', option: '--add-subuids', getsubids: [] },
  subgid: { file: '/etc/subgid', option: '--add-subgids', getsubids: ['-g'] },
} as const;
type Kind = keyof typeof KINDS;

export async function checkSubordinateIds(machine: Machine, kind: Kind): Promise<Finding> {
  const { file, option } = KINDS[kind];
  const count = (await ranges(machine, kind)).reduce((sum, each) => sum + each, 0);
  if (count >= ENOUGH) return ok(kind, `${count} ids for ${machine.user}`);
  const remedy = `sudo usermod ${option} 100000-165535 ${machine.user}`;
  if (count === 0) return failure(kind, `${file} has no ids for ${machine.user}`, remedy);
  return warning(
    kind,
    `${file} has ${count} ids for ${machine.user}; images expect ${ENOUGH}`,
    remedy,
  );
}

/** Their sizes: from the file, or else from wherever getsubids(1) has them. */
async function ranges(machine: Machine, kind: Kind): Promise<number[]> {
  const { file, getsubids } = KINDS[kind];
  const owners = [machine.user, String(machine.uid)];
  const lines = (machine.read(file) ?? '').split('\n').map((line) => line.trim().split(':'));
  const own = lines.filter(([owner = '']) => owners.includes(owner));
  if (own.length > 0) return own.map(([, , count]) => Number(count) || 0);
  const { exitCode, output } = await machine.run('getsubids', ...getsubids, machine.user);
  if (exitCode !== 0) return [];
  return output.split('\n').map((line) => Number(line.split(/\s+/).at(-1)) || 0);
}

export function checkIdMapper(machine: Machine, name: 'newuidmap' | 'newgidmap'): Finding {
  const file = machine.which(name);
  if (file === undefined) {
    return failure(name, 'not on the PATH', installCommand(machine, 'uidmap'));
  }
  if (/^NoNewPrivs:\s*1$/m.test(machine.read('/proc/self/status') ?? '')) {
    return failure(
      name,
      `${file} is of no use: this process runs with no_new_privs; log in without it`,
    );
  }
  const { uid, mode } = statSync(file);
  if (uid === 0 && (mode & SETUID) !== 0) return ok(name, `${file}, set-user-ID`);
  if (machine.hasFileCapabilities(file)) return ok(name, `${file}, with file capabilities`);
  return failure(
    name,
    `${file} is neither set-user-ID root nor has file capabilities`,
    `sudo chown root ${quote(file)} && sudo chmod u+s ${quote(file)}`,
  );
}
