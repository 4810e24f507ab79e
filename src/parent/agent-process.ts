/** The processes of agents: started in the child namespaces, or found there. */

import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { Channel, socketPair } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { openPidfd } from '../msg/pidfd.js';
import type { ChildContext } from '../msg/port.js';
import { agentCommand } from './agent-command.js';
import { opaqueForChild } from './agent-fds.js';
import { netnsFile } from './nsenter.js';
import type { Poller } from './poller.js';

/** Where an installation of any version has it. */
const AGENT_SUFFIX = '/child/main.js';

export interface RunningProcess {
  readonly pid: number;
  /** Open until the end. */
  readonly pidfd: Fd;
  /** Resolves with how it ended. */
  readonly ended: Promise<SluiceError>;
  /** Its end no longer matters. */
  forget(): void;
}

/** Rejects with a SluiceError when there can be no process. */
export async function spawnAgent(
  child: ChildContext,
  bearsClients: boolean,
): Promise<{ process: RunningProcess; channel: Channel }> {
  using life = openPidfd(child.pid);
  const [ours, theirs] = socketPair();
  const [doorInside, doorOutside] = socketPair(linux.SOCK_SEQPACKET);
  const args = Object.entries(opaqueForChild()).map(([key, value]) => `${key}=${value}`);
  const [command, ...words] = [...agentCommand(child, bearsClients), ...args];
  try {
    // A session of its own: a Ctrl-C in the terminal is for the container engine, which ends in
    // good order; the agent forwards until the parent wants its end.
    const started = spawn(command, words, {
      stdio: [
        'ignore',
        'ignore',
        'inherit',
        theirs.number,
        doorInside.number,
        doorOutside.number,
        life.number,
      ],
      detached: true,
    });
    const ended = endOf(started);
    if (started.pid === undefined) throw await ended;
    const { pid } = started;
    const pidfd = openPidfd(pid);
    const forget = () => {
      started.unref();
      pidfd.close();
    };
    return { process: { pid, pidfd, ended, forget }, channel: new Channel(ours) };
  } catch (error) {
    ours.close();
    throw error;
  } finally {
    for (const end of [theirs, doorInside, doorOutside]) end.close();
  }
}

/** `pidfd` is the process's from now on. */
export function foundProcess(pid: number, pidfd: Fd, poller: Poller): RunningProcess {
  const ended = new Promise<SluiceError>((resolve) => {
    poller.add(pidfd.number, linux.EPOLLIN, () => {
      poller.remove(pidfd.number);
      // One that this process started before it replaced itself is still its child.
      libc.reap(pid);
      resolve(new SluiceError('ERR_AGENT_ENDED', `agent ${pid} has ended`));
    });
  });
  const forget = () => {
    poller.remove(pidfd.number);
    pidfd.close();
  };
  return { pid, pidfd, ended, forget };
}

/**
 * Agents in the child's network namespace, the youngest first. No process of the namespaces can
 * pass for one: they can't get back into our mount namespace.
 */
export function findAgents(child: ChildContext): { pid: number; pidfd: Fd }[] {
  const netns = identityOf(netnsFile(child));
  const mounts = identityOf('/proc/self/ns/mnt');
  const isOurs = (pid: number) =>
    isAgent(pid) &&
    identityOf(`/proc/${pid}/ns/net`) === netns &&
    identityOf(`/proc/${pid}/ns/mnt`) === mounts;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isAgent(Number(name)))
    .flatMap((name) => {
      const pid = Number(name);
      let pidfd: Fd | undefined;
      try {
        // First, so that all that is read is about this process.
        pidfd = openPidfd(pid);
        if (isOurs(pid)) return { pid, pidfd };
      } catch {
        // It has ended, or is another user's.
      }
      pidfd?.close();
      return [];
    })
    .toSorted((one, other) => startTicks(other.pid) - startTicks(one.pid));
}

/** When a process started, in clock ticks since the boot; with its pid it has no double. */
export function startTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // proc_pid_stat(5): field 22, and the name in brackets is the 2nd.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

function isAgent(pid: number): boolean {
  try {
    const [, script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return script.endsWith(AGENT_SUFFIX);
  } catch {
    return false;
  }
}

function identityOf(file: string): string {
  const { dev, ino } = statSync(file, { bigint: true });
  return `${dev}:${ino}`;
}

function startError(reason: string, cause?: unknown): SluiceError {
  return new SluiceError('ERR_AGENT_START', reason, { cause });
}

function endOf(process: ChildProcess): Promise<SluiceError> {
  return new Promise((resolve) => {
    process.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'ENOENT'
          ? 'nsenter was not found on the PATH; install util-linux'
          : `nsenter could not be started: ${messageOf(error)}`;
      resolve(startError(reason, error));
    });
    process.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      resolve(new SluiceError('ERR_AGENT_ENDED', `the agent ended ${how}`));
    });
  });
}
