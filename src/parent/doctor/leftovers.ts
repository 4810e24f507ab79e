/** What runs that crashed have left: state directories, and our table in a namespace. */
import { readdirSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiClient } from '../api/client.js';
import type { Info } from '../api/info.js';
import { ENGINE_NAMES, ENGINES, PORT_DRIVER } from '../install/engine.js';
import { apiSocketOf, childContextOf, movedApiSocketOf } from '../launcher/state-dir.js';
import { nsenterOptions } from '../nsenter.js';
import { quote } from '../shell.js';
import { MANGLE_CHAINS } from '../source-address/iptables-chains.js';
import { SWITCHED_OFF } from '../source-ip-info.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';

const CHECK = 'leftovers';
const TIME_LIMIT_MS = 3_000;
/** What makes a folder a state directory, whoever made it. */
const SIGNS = ['api.sock', 'rlk.sock', 'child_pid'];
/** Of state directories that nobody named: rootlesskit's, and those of "sluice run". */
const TEMPORARY = /^(?:rootlesskit|sluice-run-)/;

export async function checkLeftovers(machine: Machine): Promise<Finding[]> {
  const findings = await Promise.all(stateDirs(machine).map((dir) => checkDir(machine, dir)));
  const problems = findings.flat();
  return problems.length > 0 ? problems : [ok(CHECK, 'none')];
}

/** Those of this user. */
function stateDirs({ env, uid }: Machine): string[] {
  const runtime = env['XDG_RUNTIME_DIR'];
  const engines = ENGINE_NAMES.map((name) => ENGINES[name].stateDir);
  const named = [
    ...(env['ROOTLESSKIT_STATE_DIR'] ? [env['ROOTLESSKIT_STATE_DIR']] : []),
    ...(runtime ? engines.map((name) => join(runtime, name)) : []),
  ];
  const temporary = [tmpdir(), ...(runtime ? [runtime] : [])].flatMap((parent) =>
    list(parent)
      .filter((name) => TEMPORARY.test(name))
      .map((name) => join(parent, name)),
  );
  return [...new Set([...named, ...temporary])].filter(
    (dir) =>
      statSync(dir, { throwIfNoEntry: false })?.uid === uid &&
      list(dir).some((name) => SIGNS.includes(name)),
  );
}

async function checkDir(machine: Machine, dir: string): Promise<Finding[]> {
  const api = apiSocketOf(dir);
  if (await isServed(api)) {
    const info = await infoOf(api);
    if (info === undefined) return [];
    const isForeign = info.portDriver?.driver !== PORT_DRIVER;
    return isForeign ? checkTable(machine, dir) : checkClientAddresses(machine, dir, info);
  }
  if (await isServed(movedApiSocketOf(dir))) {
    const text = `the sluice that served ${dir} is gone, and rootlesskit runs on without ports`;
    return [failure(CHECK, text, `sluice attach --state-dir ${quote(dir)}`)];
  }
  return [warning(CHECK, `${dir} is what a dead rootlesskit left`, `rm -r ${quote(dir)}`)];
}

const CLIENT_ADDRESSES = 'client addresses';

/** Whether a running driver of ours keeps them, and whether its rules are really there. */
async function checkClientAddresses(machine: Machine, dir: string, info: Info): Promise<Finding[]> {
  const states = info.portDriver?.sourceIP?.protos ?? {};
  const remedy = `sluice reload --socket ${quote(apiSocketOf(dir))}`;
  const tcp = [states['tcp4'], states['tcp6']].flatMap((state) => state ?? []);
  const reasons = new Set(tcp.flatMap(({ kept, reason }) => (kept ? [] : (reason ?? ''))));
  reasons.delete(SWITCHED_OFF.reason ?? '');
  if (reasons.size > 0) {
    const text = `the sluice of ${dir} does not keep them: ${[...reasons].join('; ')}`;
    return [warning(CLIENT_ADDRESSES, text, remedy)];
  }
  if (!tcp.some(({ kept }) => kept) || (await hasRules(machine, dir, info))) return [];
  const text = `the rules of the sluice of ${dir} are gone, and it did not put them back`;
  return [failure(CLIENT_ADDRESSES, text, remedy)];
}

async function hasRules(machine: Machine, dir: string, { childPID }: Info): Promise<boolean> {
  // The namespaces of `sluice run` are told by its API alone.
  const child = list(dir).includes('child_pid') ? childContextOf(dir) : { pid: childPID };
  const enter = [...nsenterOptions(child), '--'];
  const nft = await machine.run('nsenter', ...enter, 'nft', 'list', 'table', 'inet', 'sluice');
  if (nft.exitCode === 0) return true;
  const chain = ['-t', 'mangle', '-n', '-L', MANGLE_CHAINS.OUTPUT];
  return (await machine.run('nsenter', ...enter, 'iptables', ...chain)).exitCode === 0;
}

/** Our rules where another port driver serves: client addresses that it keeps would go astray. */
async function checkTable(machine: Machine, dir: string): Promise<Finding[]> {
  const enter = [...nsenterOptions(childContextOf(dir)), '--', 'nft'];
  const { exitCode } = await machine.run('nsenter', ...enter, 'list', 'table', 'inet', 'sluice');
  if (exitCode !== 0) return [];
  const text = `the namespace of ${dir} still has our nftables table, and sluice does not serve it`;
  return [warning(CHECK, text, `nsenter ${enter.map(quote).join(' ')} delete table inet sluice`)];
}

/** Whether somebody listens there. */
function isServed(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Undefined where the answer makes no sense, or takes too long. */
function infoOf(socketPath: string): Promise<Info | undefined> {
  return createApiClient(socketPath, TIME_LIMIT_MS)
    .info()
    .catch(() => undefined);
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
