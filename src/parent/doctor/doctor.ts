/** Every check, in the order in which a port needs what they look at. */
import { messageOf } from '../../msg/errors.js';
import { checkEngines, checkLingering, checkRuntimeFolder } from './engines.js';
import { type Finding, failure, ok, warning } from './finding.js';
import {
  checkKernel,
  checkLowestPort,
  checkNetworkLimits,
  checkOpenFiles,
  checkPipes,
  checkSctp,
} from './kernel.js';
import { checkLeftovers } from './leftovers.js';
import type { Machine } from './machine.js';
import {
  checkFirewall,
  checkIp,
  checkNetworkDrivers,
  checkNsenter,
  checkTun,
  checkUnshare,
} from './programs.js';
import { checkOurCommand, checkRootlesskit } from './rootlesskit.js';
import { checkIdMapper, checkSubordinateIds } from './subordinate-ids.js';
import { checkTakeover } from './takeover.js';
import { checkUserNamespaces } from './user-namespaces.js';

type Findings = Finding | readonly Finding[];
type Check = (machine: Machine) => Findings | Promise<Findings>;

const CHECKS: Readonly<Record<string, Check>> = {
  user: checkUser,
  kernel: checkKernel,
  'user namespaces': checkUserNamespaces,
  subuid: (machine) => checkSubordinateIds(machine, 'subuid'),
  subgid: (machine) => checkSubordinateIds(machine, 'subgid'),
  newuidmap: (machine) => checkIdMapper(machine, 'newuidmap'),
  newgidmap: (machine) => checkIdMapper(machine, 'newgidmap'),
  rootlesskit: checkRootlesskit,
  'docker-rootlesskit': checkOurCommand,
  'network drivers': checkNetworkDrivers,
  'tun device': checkTun,
  nsenter: checkNsenter,
  unshare: checkUnshare,
  takeover: checkTakeover,
  ip: checkIp,
  firewall: checkFirewall,
  'lowest port': checkLowestPort,
  sctp: checkSctp,
  'open files': checkOpenFiles,
  pipes: checkPipes,
  'network limits': checkNetworkLimits,
  XDG_RUNTIME_DIR: checkRuntimeFolder,
  lingering: checkLingering,
  engines: checkEngines,
  leftovers: checkLeftovers,
};

/** Never rejects: a check that throws is a failure of its own. */
export async function examine(machine: Machine): Promise<Finding[]> {
  const findings = Object.entries(CHECKS).map(async ([name, check]): Promise<Findings> => {
    try {
      return await check(machine);
    } catch (error) {
      return failure(name, `could not be checked: ${messageOf(error)}`);
    }
  });
  return (await Promise.all(findings)).flat();
}

function checkUser({ uid, user }: Machine): Finding {
  if (uid !== 0) return ok('user', user);
  return warning('user', 'this is root; run this as the user who runs the engine');
}
