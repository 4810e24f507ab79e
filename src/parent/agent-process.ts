/** The processes of agents: started in the child namespaces, or found there. */

import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { execPath } from 'node:process';
import { Channel, socketPair } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import { Fd } from '../msg/fd.js';
import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import { openPidfd } from '../msg/pidfd.js';
import type { ChildContext } from '../msg/port.js';
import { agentCommand } from './agent-command.js';
import { opaqueForChild } from './agent-fds.js';
import { hasFileCapabilities } from './file-capabilities.js';
import { type HeldNamespaces, holdNamespaces, netnsFile } from './nsenter.js';
import { nodeEnvironment } from './node-env.js';
import type { Poller } from './poller.js';
import { allPids, processStat } from './proc.js';

/** Where an installation of any version has it. */
const AGENT_SUFFIX = '/child/main.js';

/** Of processes that have ended, or are another user's. */
const PASSED_OVER: readonly (string | undefined)[] = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

export interface RunningProcess {
  readonly pid: number;
  /** Open until the end. */
  readonly pidfd: Fd;
  /** Resolves with how it ended. */
  readonly ended: Promise<SluiceError>;
  /** Its end no longer matters. */
  forget(): void;
}

/** A process that will be an agent. */
export interface SpawnedAgent {
  readonly process: RunningProcess;
  readonly channel: Channel;
  /** To be disposed of once it has entered the namespaces. */
  readonly held: Disposable;
}

/** Rejects, and leaves nothing behind, when there can be no process. */
export async function spawnAgent(
  child: ChildContext,
  bearsClients: boolean,
): Promise<SpawnedAgent> {
  using life = openPidfd(child.pid);
  const [ours, theirs] = socketPair();
  using control = ours;
  using inside = theirs;
  const [doorInside, doorOutside] = socketPair(linux.SOCK_SEQPACKET);
  using innerDoor = doorInside;
  using outerDoor = doorOutside;
  const args = Object.entries(opaqueForChild()).map(([key, value]) => `${key}=${value}`);
  const held = hold(child);
  try {
    const command = [...agentCommand(held, bearsClients), ...args] as const;
    const process = await spawnWith(command, [inside, innerDoor, outerDoor, life]);
    return { process, channel: new Channel(new Fd(control.release())), held };
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

function hold(child: ChildContext): HeldNamespaces {
  try {
    return holdNamespaces(child);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw startError(error as NodeJS.ErrnoException);
    throw new SluiceError('ERR_AGENT_START', 'the namespaces have ended', { cause: error });
  }
}

/** `fds` are its fd 3 and following. */
async function spawnWith(
  [file, ...args]: readonly [string, ...string[]],
  fds: readonly Fd[],
): Promise<RunningProcess> {
  // A session of its own: a Ctrl-C in the terminal is for the container engine, which ends in
  // good order; the agent forwards until the parent wants its end.
  const stdio = ['ignore', 'ignore', 'inherit', ...fds.map(({ number }) => number)] as const;
  let started: ChildProcess;
  try {
    started = spawn(file, args, { stdio: [...stdio], env: nodeEnvironment(), detached: true });
  } catch (error) {
    // Some errnos are thrown, the others emitted.
    throw startError(error as NodeJS.ErrnoException);
  }
  const ended = endOf(started);
  if (started.pid === undefined) throw await ended;
  const { pid } = started;
  try {
    const pidfd = openPidfd(pid);
    const forget = () => {
      started.unref();
      pidfd.close();
    };
    return { pid, pidfd, ended, forget };
  } catch (error) {
    // It would outlive us, as a parent that has hung up.
    started.kill('SIGKILL');
    throw error;
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
    // One that has ended is watched no more.
    if (!pidfd.isOpen) return;
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
  return allPids()
    .flatMap((pid) => {
      let pidfd: Fd | undefined;
      try {
        if (!isAgent(pid)) return [];
        // From here on all that is read is about this process.
        pidfd = openPidfd(pid);
        if (isOurs(pid)) return { pid, pidfd, since: processStat(pid).startTicks };
      } catch (error) {
        if (!PASSED_OVER.includes((error as NodeJS.ErrnoException).code)) throw error;
      }
      pidfd?.close();
      return [];
    })
    .toSorted((one, other) => other.since - one.since);
}

function isAgent(pid: number): boolean {
  const [, script = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  return script.endsWith(AGENT_SUFFIX);
}

function identityOf(file: string): string {
  const { dev, ino } = statSync(file, { bigint: true });
  return `${dev}:${ino}`;
}

/** By the errno of what did not start. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'nsenter was not found on the PATH; install util-linux',
  EAGAIN: 'nsenter could not be started: the user may have no more processes (ulimit -u)',
  EMFILE: 'nsenter could not be started: the driver may open no more files (ulimit -n)',
};

/** Nobody may look into such a process, and where the agent is it may not even be executed. */
const CAPABLE = `; ${execPath} has file capabilities, with which no agent can be started: take them away with \`sudo setcap -r ${execPath}\``;

function startError(error: NodeJS.ErrnoException): SluiceError {
  const reason = REASONS[error.code ?? ''] ?? `nsenter could not be started: ${messageOf(error)}`;
  return new SluiceError('ERR_AGENT_START', reason, { cause: error });
}

function endOf(process: ChildProcess): Promise<SluiceError> {
  return new Promise((resolve) => {
    process.once('error', (error) => resolve(startError(error)));
    process.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      const why = code !== null && code !== 0 && hasFileCapabilities(execPath) ? CAPABLE : '';
      resolve(new SluiceError('ERR_AGENT_ENDED', `the agent ended ${how}${why}`));
    });
  });
}
