/** Kernel settings: sysctl(8). */
import { readFileSync } from 'node:fs';

/** Undefined where this kernel has no such setting. */
export function readSysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

/** The command that changes a setting until the next start of the machine. */
export function setSysctl(name: string, value: string | number): string {
  return `sudo sysctl -w ${name}=${value}`;
}

/** Settings that forbid user namespaces, each with the value that does, and one that does not. */
export const FORBIDDING_USER_NAMESPACES = [
  { name: 'user.max_user_namespaces', value: '0', remedy: '28633' },
  { name: 'kernel.unprivileged_userns_clone', value: '0', remedy: '1' },
  { name: 'kernel.apparmor_restrict_unprivileged_userns', value: '1', remedy: '0' },
] as const;
