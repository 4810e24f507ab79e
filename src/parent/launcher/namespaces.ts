/**
 * rootlesskit's child while rootlesskit still starts. It has its namespaces some 50 ms before the
 * network in there is complete, which is when rootlesskit tells of it.
 *
 * This is a look ahead, for what may be done in vain: in the end its state directory says which
 * process it is. Where the kernel does not list a process's children nothing is seen.
 */

import { readFileSync, readlinkSync, statSync } from 'node:fs';
import type { ChildContext } from '../../msg/port.js';
import { netnsFile, usernsFile } from '../nsenter.js';
import { childrenOf } from '../proc.js';
import { childContextOf } from './state-dir.js';

/**
 * What the result returns is undefined until a process can enter the child's namespaces with full
 * rights.
 *
 * @param detachesNetns it stays in our network namespace, and the other one is in the state directory
 */
export function emergingChild(
  stateDir: string,
  detachesNetns: boolean,
): (rootlesskit: number) => ChildContext | undefined {
  // A look for it reads a file for each thread of rootlesskit.
  let seen: readonly number[] = [];
  return (rootlesskit) => {
    const isChild = (pid: number) => isSameProgram(pid, rootlesskit);
    const still = seen.filter(isChild);
    seen = still.length > 0 ? still : (childrenOf(rootlesskit) ?? []).filter(isChild);
    return seen
      .map((pid) => childContextOf(stateDir, pid))
      .find((child) => detachesNetns === (child.netnsPath !== undefined) && canBeEntered(child));
  };
}

/** Whether the namespaces are others than ours, and the ids in there are set. */
export function canBeEntered(child: ChildContext): boolean {
  try {
    return hasIds(child) && isAnother(netnsFile(child), 'net');
  } catch {
    // It has ended, or is not ours to look into: a program on the way there.
    return false;
  }
}

/** As the child is: the programs that set its network up are in its namespaces for a moment, too. */
function isSameProgram(pid: number, other: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === readlinkSync(`/proc/${other}/exe`);
  } catch {
    // It has ended, or is of another user's.
    return false;
  }
}

/** A user namespace of its own with its ids: newgidmap is what comes last. */
function hasIds(child: ChildContext): boolean {
  const hasOwn = isAnother(usernsFile(child), 'user');
  return hasOwn && readFileSync(`/proc/${child.pid}/gid_map`, 'utf8') !== '';
}

/** False for the empty file that a namespace is about to be mounted on, too. */
function isAnother(file: string, type: 'user' | 'net'): boolean {
  const own = statSync(`/proc/self/ns/${type}`);
  const { dev, ino } = statSync(file);
  return dev === own.dev && ino !== own.ino;
}
