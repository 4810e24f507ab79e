/** Whether the engines of this user would start with sluice, and stay. */
import { existsSync, statSync } from 'node:fs';
import { type Engine, ENGINE_NAMES, ENGINES, PORT_DRIVER } from '../install/engine.js';
import type { Env } from '../install/folders.js';
import { readUnit } from '../install/unit.js';
import { isOurs } from '../launcher/find.js';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';

const LINGER = '/var/lib/systemd/linger';

export function checkEngines(machine: Machine): Finding[] {
  return ENGINE_NAMES.map((name) => checkEngine(machine, ENGINES[name]));
}

function checkEngine(machine: Machine, engine: Engine): Finding {
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
