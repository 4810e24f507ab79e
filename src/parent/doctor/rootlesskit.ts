/** The real rootlesskit, and who answers to its name. */
import { messageOf } from '../../msg/errors.js';
import { findRootlesskit, isOurs } from '../launcher/find.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';
import { installCommand } from './packages.js';

/** The oldest that sluice is tested with. */
const OLDEST = { major: 1, minor: 1 } as const;

export async function checkRootlesskit(machine: Machine): Promise<Finding> {
  const check = 'rootlesskit';
  let file: string;
  try {
    file = findRootlesskit(machine.env);
  } catch (error) {
    return failure(check, messageOf(error), installCommand(machine, 'rootlesskit'));
  }
  const { output } = await machine.run(file, '--version');
  const [version, major, minor] = /(\d+)\.(\d+)\S*/.exec(output) ?? [];
  if (version === undefined) {
    return failure(check, `${file} --version says ${JSON.stringify(output)}, which is no version`);
  }
  const isOld =
    Number(major) < OLDEST.major ||
    (Number(major) === OLDEST.major && Number(minor) < OLDEST.minor);
  if (!isOld) return ok(check, `${version} at ${file}`);
  return warning(
    check,
    `${version} at ${file} is older than ${OLDEST.major}.${OLDEST.minor}`,
    installCommand(machine, 'rootlesskit'),
  );
}

/** What dockerd-rootless.sh would start when it is called from here. */
export function checkOurCommand(machine: Machine): Finding {
  const check = 'docker-rootlesskit';
  const file = machine.which(check);
  if (file === undefined) {
    return warning(check, 'not on the PATH of this shell', 'sluice install docker');
  }
  if (isOurs(file)) return ok(check, `${file} is sluice`);
  return warning(
    check,
    `${file} comes first on the PATH of this shell, and is not sluice`,
    'sluice install docker',
  );
}
