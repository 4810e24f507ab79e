/** The first words with an agent, started or found, and what its end means from then on. */

import type { Resolution } from '../msg/agent-port.js';
import type { Channel } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import { kill } from '../msg/pidfd.js';
import type { Transport } from '../msg/port.js';
import { checkVersion } from '../msg/protocol.js';
import type { ReturnPath, ReturnPathQuestion } from '../msg/source-address.js';
import { AgentChannel, type AgentEvents } from './agent-channel.js';
import type { RunningProcess } from './agent-process.js';
import { patience } from './patience.js';
import type { Poller } from './poller.js';

/** What an agent asks and tells by itself. */
export interface AgentCalls
  extends Pick<AgentEvents, 'onShed' | 'onRefused' | 'onAborted' | 'onSourceLost'> {
  /** Finds the DNAT targets of a port. Never rejects. */
  resolve(id: number, agentPid: number): Promise<Resolution>;
  /** Finds out whether replies come back from a target. Never rejects. */
  findReturnPath(question: ReturnPathQuestion): Promise<ReturnPath>;
}

export interface Greeting {
  readonly process: RunningProcess;
  readonly channel: Channel;
  readonly poller: Poller;
  readonly calls: AgentCalls;
  readonly timeoutS: number;
}

export interface Greeted {
  readonly channel: AgentChannel;
  readonly ended: Promise<SluiceError>;
  readonly transports: readonly Transport[];
  readonly foreign: SluiceError | undefined;
}

/** Rejects, and kills the process, when it can't be heard or doesn't say hello in time. */
export function greet({
  process,
  channel: raw,
  poller,
  calls,
  timeoutS,
}: Greeting): Promise<Greeted> {
  let lostBy: SluiceError | undefined;
  const ended = process.ended.then((end) => explained(end, lostBy));
  return new Promise((fulfil, reject) => {
    const fail = (reason: string) => {
      channel.close(new SluiceError('ERR_AGENT_START', reason));
      killProcess(process);
      reject(new SluiceError('ERR_AGENT_START', reason));
    };
    const waiting = patience(timeoutS, () => {
      channel.readOnce();
      if (!isGreeted) fail(`the agent did not say hello within ${timeoutS} s`);
    });
    let isGreeted = false;
    const channel = new AgentChannel(poller, raw, {
      onGreeted(hello) {
        isGreeted = true;
        waiting[Symbol.dispose]();
        const { transports } = hello;
        fulfil({ channel, ended, transports, foreign: versionError(() => checkVersion(hello)) });
      },
      onResolve(id) {
        calls
          .resolve(id, process.pid)
          .then((resolution) => channel.answer(id, resolution))
          .catch((error: unknown) => channel.fail(asChannelError(error)));
      },
      onReturnPath(question) {
        const { client, target } = question;
        calls
          .findReturnPath(question)
          .catch(
            (error: unknown): ReturnPath => ({
              verdict: 'unknown',
              scope: 'client',
              reason: messageOf(error),
            }),
          )
          .then((found) => channel.answerReturnPath({ ...found, client, target: target.ip }))
          .catch((error: unknown) => channel.fail(asChannelError(error)));
      },
      onSourceLost: (lost) => calls.onSourceLost(lost),
      onShed: (counts) => calls.onShed(counts),
      onRefused: (refused) => calls.onRefused(refused),
      onAborted: (aborted) => calls.onAborted(aborted),
      // The process is on its way out, or no longer makes sense.
      onClosed(reason) {
        lostBy = reason;
        killProcess(process);
      },
    });
    void ended.then((reason) => {
      waiting[Symbol.dispose]();
      fail(reason.message);
      process.pidfd.close();
    });
  });
}

function asChannelError(error: unknown): SluiceError {
  return new SluiceError('ERR_AGENT_CHANNEL', messageOf(error), { cause: error });
}

/** One that was left, or has ended, has no pidfd any more. */
export function killProcess({ pidfd }: RunningProcess): void {
  if (pidfd.isOpen) kill(pidfd.number);
}

function versionError(check: () => void): SluiceError | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error as SluiceError;
  }
}

/** With what the channel was given up for, which tells more than the signal that followed. */
function explained(end: SluiceError, lost: SluiceError | undefined): SluiceError {
  if (lost === undefined || lost.code === 'ERR_AGENT_GONE') return end;
  return new SluiceError(end.code, `${end.message}: ${lost.message}`, { cause: lost });
}
