/**
 * Tells at once when something changes in the child's network namespace that our rules depend on.
 * Firewall and routing tell by netlink; sysctls have no events, so their files are read.
 */

import { spawn } from 'node:child_process';
import { readSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Channel, socketPair } from '../../msg/channel.js';
import { SluiceError } from '../../msg/errors.js';
import type { Fd } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import type { ChildContext } from '../../msg/port.js';
import { nodeEnvironment } from '../node-env.js';
import { holdNamespaces, nsenterOptions } from '../nsenter.js';
import { programPath } from '../package-folder.js';
import type { Poller } from '../poller.js';
import { isAboutFirewall, isAboutRouting } from './netlink.js';
import type { PartKind } from './part.js';

const PROGRAM = programPath('parent/source-address/notifier-main.js');

/** A process that does not end would hold its namespaces. */
const START_LIMIT_MS = 30_000;
/** Three files are read in some microseconds. */
const SYSCTL_INTERVAL_MS = 500;
const ON = '1'.charCodeAt(0);

/** The kernel puts at most 32 KiB into one datagram of netlink. */
const BUFFER_BYTES = 64 * 1024;

export class Notifier {
  readonly #firewall: Fd;
  readonly #routing: Fd;
  readonly #sysctls: readonly Fd[];
  readonly #poller: Poller;
  readonly #memory = libc.allocate(BUFFER_BYTES);
  readonly #byte = Buffer.alloc(1);
  readonly #timer: NodeJS.Timeout;

  private constructor(fds: readonly Fd[], poller: Poller, onChange: (kinds: PartKind[]) => void) {
    const [firewall, routing, ...sysctls] = fds;
    if (firewall === undefined || routing === undefined) {
      throw new SluiceError('ERR_SOURCE_WATCH', 'its sockets did not arrive');
    }
    [this.#firewall, this.#routing, this.#sysctls] = [firewall, routing, sysctls];
    this.#poller = poller;
    const look = () => {
      const changed = this.changed();
      if (changed.length > 0) onChange(changed);
    };
    for (const { number } of [firewall, routing]) poller.add(number, linux.EPOLLIN, look);
    this.#timer = setInterval(look, SYSCTL_INTERVAL_MS).unref();
  }

  /** Rejects with ERR_SOURCE_WATCH. `onChange` is called with what could have changed. */
  static async open(
    child: ChildContext,
    poller: Poller,
    onChange: (kinds: PartKind[]) => void,
  ): Promise<Notifier> {
    const [ours, theirs] = socketPair();
    using channel = new Channel(ours);
    await runInside(child, theirs);
    const [received] = channel.receive();
    const fds = received?.fds ?? [];
    try {
      return new Notifier(fds, poller, onChange);
    } catch (error) {
      for (const fd of fds) fd.close();
      throw error;
    }
  }

  /** What could have changed since the last call. Takes the events that wait. */
  changed(): PartKind[] {
    return [
      ...(this.#drain(this.#firewall, isAboutFirewall) ? (['firewall'] as const) : []),
      ...(this.#drain(this.#routing, isAboutRouting) ? (['routing'] as const) : []),
      ...(this.#sysctls.every((fd) => this.#isOn(fd)) ? [] : (['sysctls'] as const)),
    ];
  }

  close(): void {
    clearInterval(this.#timer);
    for (const fd of [this.#firewall, this.#routing]) {
      this.#poller.remove(fd.number);
      fd.close();
    }
    for (const fd of this.#sysctls) fd.close();
  }

  #drain(socket: Fd, isOurs: (messages: Buffer) => boolean): boolean {
    const { address, bytes } = this.#memory;
    let found = false;
    for (;;) {
      const length = libc.recv(socket.number, address, BUFFER_BYTES, linux.MSG_DONTWAIT);
      // Any error but this one is ENOBUFS: events were lost.
      if (length === linux.EAGAIN) return found;
      found ||= length < 0 || isOurs(bytes.subarray(0, length));
    }
  }

  #isOn({ number }: Fd): boolean {
    readSync(number, this.#byte, 0, 1, 0);
    return this.#byte[0] === ON;
  }
}

/** Runs the program to its end, with `channel` for what it hands over. */
async function runInside(child: ChildContext, channel: Fd): Promise<void> {
  using inside = channel;
  using held = holdNamespaces(child);
  const args = [...nsenterOptions(held), '--', process.execPath, PROGRAM];
  const program = spawn('nsenter', args, {
    stdio: ['ignore', 'ignore', 'pipe', inside.number],
    env: nodeEnvironment(),
    timeout: START_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<number | string | null>((resolve, reject) => {
    program.once('error', reject);
    program.once('close', (code, signal) => resolve(code ?? signal));
  });
  const [end, said] = await Promise.all([ended, program.stderr && text(program.stderr)]);
  if (end !== 0) throw new SluiceError('ERR_SOURCE_WATCH', said?.trim() || `it ended by ${end}`);
}
