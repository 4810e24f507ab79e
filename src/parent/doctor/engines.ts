/** Whether the engines of this user would start with sluice, and stay. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createApiClient } from '../api/client.js';
import { type Engine, ENGINE_NAMES, ENGINES, PORT_DRIVER } from '../install/engine.js';
import type { Env } from '../install/folders.js';
import { managerRuns, readUnit } from '../install/unit.js';
import { binFolder } from '../install/wanted.js';
import { isOurs } from '../launcher/find.js';
import { apiSocketOf } from '../launcher/state-dir.js';
import { quote } from '../shell.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';

const ANSWER_MS = 2000;
const LINGER = '/var/lib/systemd/linger';

export function checkEngines(machine: Machine): Promise<Finding[]> {
  return Promise.all(ENGINE_NAMES.map((name) => checkEngine(machine, ENGINES[name])));
}

async function checkEngine(machine: Machine, engine: Engine): Promise<Finding> {
  // Without systemd somebody starts it, with settings that this shell needn't have.
  if (!managerRuns(machine.env) && (await runningDriver(machine.env, engine)) === PORT_DRIVER) {
    return ok(engine.name, 'runs with sluice');
  }
  const unit = readUnit(machine.env, engine.unit);
  if (unit !== undefined) {
    const env = { ...machine.env, ...unit.environment };
    return checkStart(machine, engine, env, unit.file);
  }
  const script = machine.which(engine.script);
  if (script === undefined) return ok(engine.name, `no ${engine.script}, no user unit`);
  return checkStart(machine, engine, machine.env, script);
}

/** `env` is what the engine's script is started with, and `by` who starts it. */
function checkStart(machine: Machine, engine: Engine, env: Env, by: string): Finding {
  const remedy = `sluice install ${engine.name}`;
  const driver = env[engine.variable];
  const bin = binFolder(env, engine);
  if (!driver && by.endsWith(engine.script) && existsSync(join(bin, engine.commands[0]))) {
    const text = `sluice is installed, and not set where ${by} is started from here`;
    const settings = `export ${engine.variable}=${PORT_DRIVER} PATH=${quote(bin)}:"$PATH"`;
    return warning(engine.name, text, settings);
  }
  if (driver !== PORT_DRIVER) {
    const seen = driver ? `port driver ${driver}` : "the engine's own port driver";
    return warning(engine.name, `${by} starts with ${seen}`, remedy);
  }
  const [program] = engine.commands.flatMap((name) => machine.which(name, env['PATH']) ?? []);
  if (program !== undefined && isOurs(program)) {
    return ok(engine.name, `${by} starts with sluice`);
  }
  const found = program === undefined ? 'to none' : `to ${program}`;
  return failure(
    engine.name,
    `${by} asks for sluice, and its PATH leads ${found}: it won't start`,
    remedy,
  );
}

/** The port driver of the engine that runs now; undefined for none. */
async function runningDriver(env: Env, { stateDir }: Engine): Promise<string | undefined> {
  const runtime = env['XDG_RUNTIME_DIR'];
  if (!runtime) return undefined;
  try {
    const api = createApiClient(apiSocketOf(join(runtime, stateDir)), ANSWER_MS);
    return (await api.info()).portDriver?.driver;
  } catch {
    return undefined;
  }
}

export function checkRuntimeFolder({ env, uid }: Machine): Finding {
  const check = 'XDG_RUNTIME_DIR';
  const folder = env[check];
  const standard = `/run/user/${uid}`;
  const remedy = existsSync(standard)
    ? `export ${check}=${standard}`
    : 'sudo loginctl enable-linger "$(id -un)"';
  if (!folder) return failure(check, 'not set: engines keep their sockets there', remedy);
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return failure(check, `${folder} is not a folder`, remedy);
  if (stat.uid !== uid) return failure(check, `${folder} is user ${stat.uid}'s`, remedy);
  return ok(check, folder);
}

/** Without systemd nobody ends the engine when its user logs out. */
export function checkLingering({ user }: Machine): Finding[] {
  const check = 'lingering';
  if (!existsSync('/run/systemd/system')) return [];
  if (existsSync(`${LINGER}/${user}`)) return [ok(check, `services of ${user} outlive the login`)];
  const text = `services of ${user} end with the last login, and start with the first`;
  return [warning(check, text, `sudo loginctl enable-linger ${user}`)];
}
