/**
 * The launcher's duplicates of all host sockets.
 *
 * A driver that is killed leaves its agents, which have the sockets, and an agent that is killed
 * has a driver that has them. The launcher is for the time in which neither is there: clients wait
 * in the sockets' backlogs until the next driver, which inherits them, has started an agent.
 *
 * All drivers of a launcher inherit one end of a pair of sockets, the link. What a driver has sent
 * there is the launcher's, whatever ends the driver next: sendmsg(2) has put it into a queue that
 * lives as long as the launcher. Messages are JSON, one each (SOCK_SEQPACKET), and trusted, since
 * the driver is this launcher's own.
 */

import { Fd } from '../../msg/fd.js';
import * as linux from '../../msg/linux.js';
import {
  receivedBytes,
  receiveWithFds,
  sendWithFds,
  socketPair,
  wereFdsCut,
} from '../../msg/scm-rights.js';
import { DRIVER_FDS } from './driver-fds.js';

/** From the driver; the sockets of a port come along. */
export type ToLauncher =
  | { readonly hold: number; readonly spec: string }
  | { readonly drop: number };

export type FromLauncher = { readonly dropped: number } | { readonly end: true };

/** What the next driver is told of the sockets that it inherits. */
export interface Inherited {
  /** The highest id that was ever held. */
  readonly lastId: number;
  readonly ports: readonly {
    readonly id: number;
    readonly spec: string;
    readonly fds: readonly number[];
  }[];
}

interface Held {
  readonly spec: string;
  /** None of a port whose sockets this process had no room for. */
  readonly sockets: readonly Fd[];
}

export class HeldPorts implements Disposable {
  readonly #own: Fd;
  /** For drivers. */
  readonly link: Fd;
  readonly #ports = new Map<number, Held>();
  #lastId = 0;

  constructor() {
    [this.#own, this.link] = socketPair(linux.SOCK_SEQPACKET);
  }

  /** Takes what drivers have sent so far. */
  take(): void {
    while (this.#own.isOpen) {
      const sockets: Fd[] = [];
      const count = receiveWithFds(this.#own.number, sockets);
      if (count <= 0) return;
      wereFdsCut(sockets);
      this.#take(receivedBytes(count).toString('utf8'), sockets);
    }
  }

  /** The fds of all held sockets, and what to tell of them to the process that inherits them. */
  inheritance(): { readonly fds: number[]; readonly inherited: Inherited } {
    const fds: number[] = [];
    const ports = [...this.#ports].map(([id, { spec, sockets }]) => {
      const first = DRIVER_FDS.ports + fds.length;
      fds.push(...sockets.map(({ number }) => number));
      return { id, spec, fds: sockets.map((_, index) => first + index) };
    });
    return { fds, inherited: { lastId: this.#lastId, ports } };
  }

  /** Asks the driver to end with all of its ports: no signal, which anybody may send. */
  end(): void {
    this.#tell({ end: true });
  }

  [Symbol.dispose](): void {
    for (const id of this.#ports.keys()) this.#drop(id);
    this.#own.close();
    this.link.close();
  }

  #take(text: string, sockets: readonly Fd[]): void {
    const message = JSON.parse(text) as ToLauncher;
    if ('hold' in message) {
      this.#drop(message.hold);
      this.#ports.set(message.hold, { spec: message.spec, sockets });
      this.#lastId = Math.max(this.#lastId, message.hold);
      return;
    }
    this.#drop(message.drop);
    this.#lastId = Math.max(this.#lastId, message.drop);
    this.#tell({ dropped: message.drop });
  }

  #drop(id: number): void {
    this.#ports.get(id)?.sockets.forEach((socket) => socket.close());
    this.#ports.delete(id);
  }

  /** A driver that doesn't read misses nothing that it can't do without. */
  #tell(message: FromLauncher): void {
    if (this.#own.isOpen) sendWithFds(this.#own.number, Buffer.from(JSON.stringify(message)), []);
  }
}
