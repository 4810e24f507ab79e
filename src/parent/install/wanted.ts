/**
 * What an installation consists of: a folder for the front of the engine's PATH, in which our
 * program has the name that the engine's script looks up, and a drop-in for the engine's unit.
 */
import { delimiter, isAbsolute, join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { findRootlesskit } from '../launcher/find.js';
import { systemPath } from '../nsenter.js';
import { PACKAGE_FOLDER } from '../package-folder.js';
import { type Engine, PORT_DRIVER } from './engine.js';
import type { Entry } from './entry.js';
import { configHome, dataHome, type Env } from './folders.js';
import { readUnit } from './unit.js';

const PROGRAM = join(PACKAGE_FOLDER, 'scripts/docker-rootlesskit');

const DROP_IN = 'sluice.conf';

/** Of this engine's alone, below the user's data. */
export function ownFolder(env: Env, { name }: Engine): string {
  return join(dataHome(env), 'sluice', name);
}

/** What goes first on the engine's PATH. */
export function binFolder(env: Env, engine: Engine): string {
  return join(ownFolder(env, engine), 'bin');
}

export function dropInPath(env: Env, { unit }: Engine): string {
  return join(configHome(env), 'systemd/user', `${unit}.d`, DROP_IN);
}

/** The Node.js of now goes along: the engine's PATH may lead to an older one, or to none. */
export function linksOf(env: Env, engine: Engine): Entry[] {
  const folder = binFolder(env, engine);
  return [
    { path: join(folder, engine.commands[0]), target: PROGRAM },
    { path: join(folder, 'node'), target: process.execPath },
  ];
}

/**
 * @throws SluiceError ERR_NO_ROOTLESSKIT when the engine would not find the real rootlesskit;
 *   ERR_INSTALL_PATH when a folder's name can't stand in a unit
 */
export function dropInOf(env: Env, engine: Engine): Entry {
  const unit = readUnit(env, engine.unit, DROP_IN);
  const bin = binFolder(env, engine);
  const folders = (unit?.environment['PATH'] ?? systemPath()).split(delimiter);
  const rest = folders.filter((folder) => isAbsolute(folder) && folder !== bin);
  const path = [...new Set([bin, ...rest])].join(delimiter);
  findRootlesskit({ PATH: path });
  const lines = [
    `# Written by "sluice install ${engine.name}"; "sluice uninstall ${engine.name}" removes it.`,
    '[Service]',
    assignment(engine.variable, PORT_DRIVER),
    assignment('PATH', path),
  ];
  return { path: dropInPath(env, engine), text: `${lines.join('\n')}\n` };
}

/** systemd.exec(5), Environment=; systemd.unit(5) for the percent sign. */
function assignment(name: string, value: string): string {
  if (/\p{Cc}/u.test(value)) {
    throw new SluiceError(
      'ERR_INSTALL_PATH',
      `${name} is ${JSON.stringify(value)}, and a systemd unit can't have control characters in it; run this with another ${name}`,
    );
  }
  const escaped = value.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll('%', '%%');
  return `Environment="${name}=${escaped}"`;
}
