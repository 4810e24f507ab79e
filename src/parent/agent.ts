/** One agent: started in the child namespaces, asked through its channel, ended with it. */

import { spawn, type ChildProcess } from 'node:child_process';
import { Channel, socketPair } from '../msg/channel.js';
import { messageOf, SluiceError } from '../msg/errors.js';
import type { FlowLimits } from '../msg/overload.js';
import type { ChildContext, Transport } from '../msg/port.js';
import type { AgentPort, Resolution, SourceFamilies } from '../msg/protocol.js';
import type { AgentStats } from '../msg/stats.js';
import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import { AgentChannel } from './agent-channel.js';
import { agentCommand } from './agent-command.js';
import type { Poller } from './poller.js';
import { shedReport } from './shed-report.js';
import { warn } from './warn.js';

/** From the start of nsenter to the agent's hello. So long only for a cold, busy disk. */
const START_TIMEOUT_MS = 20_000;
/** From hanging up to SIGKILL. */
const STOP_TIMEOUT_MS = 2000;

export interface AgentOptions {
  readonly child: ChildContext;
  readonly bearsClients: boolean;
}

export class AgentProcess {
  /** Resolves with the reason once the process has ended, wanted or not. */
  readonly ended: Promise<SluiceError>;
  /** What it can make sockets of. */
  readonly transports: readonly Transport[];
  readonly #channel: AgentChannel;
  readonly #process: ChildProcess;

  private constructor(
    process: ChildProcess,
    channel: AgentChannel,
    ended: Promise<SluiceError>,
    transports: readonly Transport[],
  ) {
    this.transports = transports;
    this.#process = process;
    this.#channel = channel;
    this.ended = ended;
  }

  /**
   * `resolve` finds the DNAT targets of a port and never rejects. `bearsClients` leaves it the
   * rights to use clients' addresses as its own.
   *
   * Rejects with ERR_AGENT_START when the namespaces can't be entered or the agent doesn't start.
   */
  static start(
    { child, bearsClients }: AgentOptions,
    poller: Poller,
    resolve: (id: number, agentPid: number) => Promise<Resolution>,
  ): Promise<AgentProcess> {
    const [ours, theirs] = socketPair();
    const [command, ...args] = agentCommand(child, bearsClients);
    // A session of its own: a Ctrl-C in the terminal is for the container engine, which ends in
    // good order; the agent forwards until the parent hangs up.
    const process = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'inherit', theirs.number],
      detached: true,
    });
    theirs.close();
    let lost: SluiceError | undefined;
    const ended = endOf(process).then((end) => explained(end, lost));
    return new Promise((fulfil, reject) => {
      const fail = (reason: string) => {
        channel.close(new SluiceError('ERR_AGENT_START', reason));
        process.kill('SIGKILL');
        reject(new SluiceError('ERR_AGENT_START', reason));
      };
      const timer = setTimeout(
        () => fail(`the agent did not start within ${START_TIMEOUT_MS} ms`),
        START_TIMEOUT_MS,
      );
      const channel = new AgentChannel(poller, new Channel(ours), {
        onGreeted({ transports }) {
          clearTimeout(timer);
          fulfil(new AgentProcess(process, channel, ended, transports));
        },
        onResolve(id) {
          void resolve(id, process.pid ?? 0).then((resolution) => channel.answer(id, resolution));
        },
        onShed(counts) {
          warn(shedReport(counts));
        },
        // The process is on its way out, or no longer makes sense.
        onClosed(reason) {
          lost = reason;
          process.kill('SIGKILL');
        },
      });
      void ended.then((reason) => {
        clearTimeout(timer);
        fail(reason.message);
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  /** Hung up or unreachable: what was asked last may or may not have been done. */
  get isGone(): boolean {
    return this.#channel.isClosed;
  }

  /** `sockets` are the port's listening sockets; they stay the caller's. */
  async addPort(port: AgentPort, sockets: readonly number[]): Promise<void> {
    await this.#channel.request({ type: 'addPort', port, fds: sockets.length }, sockets);
  }

  async removePort(id: number): Promise<void> {
    await this.#channel.request({ type: 'removePort', id });
  }

  async setSourceFamilies(families: SourceFamilies): Promise<void> {
    await this.#channel.request({ type: 'sourceFamilies', families });
  }

  async setUdpTimeouts(timeouts: UdpTimeouts): Promise<void> {
    await this.#channel.request({ type: 'udpTimeouts', timeouts });
  }

  async setLimits(limits: FlowLimits): Promise<void> {
    await this.#channel.request({ type: 'limits', limits });
  }

  async stats(): Promise<AgentStats> {
    const reply = await this.#channel.request({ type: 'stats' });
    if (reply.type === 'stats') return reply.stats;
    throw new SluiceError('ERR_AGENT_REPLY', `the agent answered stats with ${reply.type}`);
  }

  /** Hangs up, and resolves when the process is gone. */
  async close(): Promise<void> {
    this.#channel.close(new SluiceError('ERR_AGENT_CLOSED', 'the driver is closing'));
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** With what the channel was given up for, which tells more than the signal that followed. */
function explained(end: SluiceError, lost: SluiceError | undefined): SluiceError {
  if (lost === undefined || lost.code === 'ERR_AGENT_GONE') return end;
  return new SluiceError(end.code, `${end.message}: ${lost.message}`, { cause: lost });
}

function endOf(process: ChildProcess): Promise<SluiceError> {
  return new Promise((resolve) => {
    process.once('error', (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'ENOENT'
          ? 'nsenter was not found on the PATH; install util-linux'
          : `nsenter could not be started: ${messageOf(error)}`;
      resolve(new SluiceError('ERR_AGENT_START', reason, { cause: error }));
    });
    process.once('exit', (code, signal) => {
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      resolve(new SluiceError('ERR_AGENT_ENDED', `the agent ended ${how}`));
    });
  });
}
