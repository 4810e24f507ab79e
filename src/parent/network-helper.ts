/**
 * The program that connects the namespaces with the world outside, such as slirp4netns. Published
 * ports do without it, all that the programs in there begin themselves does not. rootlesskit starts
 * it, and says nothing when it ends.
 */

import type { Fd } from '../msg/fd.js';
import * as linux from '../msg/linux.js';
import { hasEnded, openPidfd } from '../msg/pidfd.js';
import type { ChildContext } from '../msg/port.js';
import type { EventSink } from './events/event.js';
import type { Poller } from './poller.js';
import { allPids, childrenOf, processStat } from './proc.js';

/** pasta calls itself after the instructions that it was built for, too. */
const HELPER = /^(slirp4netns|pasta|vpnkit)/;
/** At the end of everything it ends a moment before the rest. */
const END_OF_ALL_MS = 1000;

/** Reports its end until disposed of, unless all of it ends. */
export function watchNetworkHelper(
  child: ChildContext,
  poller: Poller,
  emit: EventSink,
): Disposable {
  const helpers = helpersBeside(child.pid);
  const timers: NodeJS.Timeout[] = [];
  for (const { name, pidfd } of helpers) {
    poller.add(pidfd.number, linux.EPOLLIN, () => {
      poller.remove(pidfd.number);
      timers.push(setTimeout(() => report(name, child, emit), END_OF_ALL_MS));
    });
  }
  return {
    [Symbol.dispose]: () => {
      timers.forEach(clearTimeout);
      for (const { pidfd } of helpers) {
        poller.remove(pidfd.number);
        pidfd.close();
      }
    },
  };
}

function report(name: string, { pid }: ChildContext, emit: EventSink): void {
  try {
    using life = openPidfd(pid);
    if (hasEnded(life.number)) return;
  } catch {
    return;
  }
  const reason =
    `${name}, which connects the namespaces with the outside, has ended: published ports go on, ` +
    'but programs in there reach nothing outside; restart rootlesskit, or the service that runs it';
  emit({ type: 'problem', code: 'ERR_NETWORK_HELPER', reason });
}

/** Children of the same parent. */
function helpersBeside(pid: number): { name: string; pidfd: Fd }[] {
  const { parentPid } = processStat(pid);
  return (childrenOf(parentPid) ?? allPids()).flatMap((other) => {
    let pidfd: Fd | undefined;
    try {
      pidfd = openPidfd(other);
      const stat = processStat(other);
      const isBeside = stat.parentPid === parentPid && other !== pid;
      if (isBeside && HELPER.test(stat.name)) return { name: stat.name, pidfd };
    } catch {
      // It has ended.
    }
    pidfd?.close();
    return [];
  });
}
