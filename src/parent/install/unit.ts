/** A systemd user unit as its files say it: systemd.unit(5), systemd.exec(5), systemd.syntax(7). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { configHome, dataHome, type Env, homeOf } from './folders.js';

export interface Unit {
  readonly file: string;
  /** What Environment= sets, with the drop-ins applied. */
  readonly environment: Env;
}

/** Of its drop-ins, the one of the name `except` is passed over. */
export function readUnit(env: Env, name: string, except?: string): Unit | undefined {
  const folders = unitFolders(env);
  const file = folders.map((folder) => join(folder, name)).find((path) => read(path) !== undefined);
  if (file === undefined) return undefined;
  const dropIns = dropInsOf(folders, name).filter((path) => basename(path) !== except);
  const assignments = [file, ...dropIns].flatMap((path) => environmentLines(read(path) ?? ''));
  // An empty assignment takes back those before it.
  const first = assignments.lastIndexOf('') + 1;
  const pairs = assignments.slice(first).flatMap((value) => splitWords(value));
  return { file, environment: Object.fromEntries(pairs.map((pair) => split(env, pair))) };
}

/** Whether units are of any use to this user: systemd runs, or has a unit of that name. */
export function usesSystemd(env: Env, unit: string): boolean {
  return existsSync('/run/systemd/system') || readUnit(env, unit) !== undefined;
}

/** Whether the user's systemd can be asked: `systemctl --user` connects here. */
export function managerRuns(env: Env): boolean {
  const runtime = env['XDG_RUNTIME_DIR'];
  return runtime !== undefined && existsSync(join(runtime, 'systemd/private'));
}

/** systemd.unit(5), "Load path when running in user mode": the first that has a file counts. */
function unitFolders(env: Env): string[] {
  const runtime = env['XDG_RUNTIME_DIR'];
  return [
    join(configHome(env), 'systemd/user'),
    '/etc/systemd/user',
    ...(runtime ? [join(runtime, 'systemd/user')] : []),
    '/run/systemd/user',
    join(dataHome(env), 'systemd/user'),
    ...['/usr/local/share', '/usr/share', '/usr/local/lib', '/usr/lib'].map((prefix) =>
      join(prefix, 'systemd/user'),
    ),
  ];
}

/** In the order in which they are applied: that of their names, whichever folder they are in. */
function dropInsOf(folders: readonly string[], unit: string): string[] {
  const byName = new Map<string, string>();
  for (const folder of folders.map((parent) => join(parent, `${unit}.d`))) {
    for (const name of list(folder).filter((entry) => entry.endsWith('.conf'))) {
      if (!byName.has(name)) byName.set(name, join(folder, name));
    }
  }
  return [...byName].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

function environmentLines(text: string): string[] {
  const values: string[] = [];
  let section = '';
  for (const line of text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((each) => each.trim())) {
    if (line.startsWith('[')) section = line;
    const [, value] = /^Environment\s*=\s*(.*)$/.exec(line) ?? [];
    if (section === '[Service]' && value !== undefined) values.push(value);
  }
  return values;
}

/** A quoted or plain part of a word. */
const PART = /"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|((?:\\.|[^\s"'\\])+)/g;
const WORD = new RegExp(`(?:${PART.source})+`, 'g');

/** At spaces outside quotes; quotes and escapes taken away. */
function splitWords(value: string): string[] {
  const words = value.match(WORD) ?? [];
  return words.map((word) =>
    word.replaceAll(PART, (_, double?: string, single?: string, plain: string = '') =>
      (double ?? single ?? plain).replaceAll(/\\(.)/g, '$1'),
    ),
  );
}

function split(env: Env, pair: string): [string, string] {
  const at = pair.indexOf('=');
  const value = pair.slice(at + 1);
  return [pair.slice(0, at), value.replaceAll(/%[%h]/g, (it) => (it === '%%' ? '%' : homeOf(env)))];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
