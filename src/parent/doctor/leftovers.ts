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
    const isForeign = info !== undefined && info.portDriver?.driver !== PORT_DRIVER;
    return isForeign ? checkTable(machine, dir) : [];
  }
  if (await isServed(movedApiSocketOf(dir))) {
    const text = `the sluice that served ${dir} is gone, and rootlesskit runs on without ports`;
    return [failure(CHECK, text, `sluice attach --state-dir ${quote(dir)}`)];
  }
  return [warning(CHECK, `${dir} is what a dead rootlesskit left`, `rm -r ${quote(dir)}`)];
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
