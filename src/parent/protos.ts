/** Which protocols a driver publishes: of those it offers, what the kernel has on both sides. */

import { SluiceError } from '../msg/errors.js';
import { type Proto, type Transport, transportOf } from '../msg/port.js';
import { kernelTransports } from '../msg/transports.js';

export class Protos {
  readonly #offered: readonly Proto[];
  readonly #here: readonly Transport[];
  #agents: readonly Transport[] | undefined;

  /** `here` are the transports that sockets of the host's namespace can have. */
  constructor(offered: readonly Proto[], here: readonly Transport[] = kernelTransports()) {
    this.#offered = offered;
    this.#here = here;
  }

  /** The transports that the agent can make sockets of; known once it has started. */
  set agents(transports: readonly Transport[]) {
    this.#agents = transports;
  }

  get list(): readonly Proto[] {
    return this.#offered.filter((proto) => !this.#isMissing(proto));
  }

  /** Throws ERR_PROTO for one that is not on the list. */
  check(proto: Proto): void {
    if (!this.#offered.includes(proto)) {
      throw new SluiceError(
        'ERR_PROTO',
        `protocol ${proto} is not supported; this driver publishes ${this.list.join(', ')}`,
      );
    }
    if (!this.#isMissing(proto)) return;
    const module = transportOf(proto);
    throw new SluiceError(
      'ERR_PROTO',
      `protocol ${proto} is not supported by this kernel; load its module with \`sudo modprobe ${module}\` and start the driver again`,
    );
  }

  #isMissing(proto: Proto): boolean {
    const transport = transportOf(proto);
    return !this.#here.includes(transport) || this.#agents?.includes(transport) === false;
  }
}
