/** The user's folders: XDG Base Directory Specification. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

export type Env = Readonly<Record<string, string | undefined>>;

export function configHome(env: Env): string {
  return folder(env, 'XDG_CONFIG_HOME', '.config');
}

export function dataHome(env: Env): string {
  return folder(env, 'XDG_DATA_HOME', '.local/share');
}

export function homeOf(env: Env): string {
  return env['HOME'] || homedir();
}

/** Relative paths are to be ignored, says the specification. */
function folder(env: Env, name: string, standard: string): string {
  const value = env[name] ?? '';
  return isAbsolute(value) ? value : join(homeOf(env), standard);
}
