/** The command that installs a program's package, with whichever package manager is there. */
import type { Machine } from './machine.js';

const MANAGERS = {
  'apt-get': 'sudo apt-get install -y',
  dnf: 'sudo dnf install -y',
  zypper: 'sudo zypper install -y',
  pacman: 'sudo pacman -S --noconfirm',
  apk: 'sudo apk add',
} as const;
type Manager = keyof typeof MANAGERS;

/** Debian's names; where others differ, theirs follow. */
const PACKAGES = {
  rootlesskit: {},
  slirp4netns: {},
  nftables: {},
  'util-linux': { apk: 'util-linux-misc' },
  iproute2: { dnf: 'iproute' },
  uidmap: { dnf: 'shadow-utils', zypper: 'shadow', pacman: 'shadow', apk: 'shadow-uidmap' },
} as const satisfies Record<string, Partial<Record<Manager, string>>>;

export type PackageName = keyof typeof PACKAGES;

/** Undefined where no package manager is known. */
export function installCommand(machine: Machine, name: PackageName): string | undefined {
  const managers = Object.keys(MANAGERS) as Manager[];
  const manager = managers.find((each) => machine.which(each, machine.systemPath) !== undefined);
  if (manager === undefined) return undefined;
  const names: Partial<Record<Manager, string>> = PACKAGES[name];
  return `${MANAGERS[manager]} ${names[manager] ?? name}`;
}
