/** All TCP ports of the agent. */

import { Connections } from '../connections.js';
import type { Overload } from '../overload.js';
import type { PipePool } from '../pipes.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { SourceAddresses } from '../source.js';
import { type Buffers, TcpPump } from './pump.js';
import { connectTo, sendQueueBytes } from './sockets.js';

export class TcpForwarder extends Connections {
  readonly #buffers: Buffers;

  constructor(reactor: Reactor, pipes: PipePool, overload: Overload) {
    super(reactor, new SourceAddresses({ reachesLocalServers: true }), overload);
    this.#buffers = { reactor, slabs: new SlabPool(), pipes };
  }

  override newPump(): TcpPump {
    return new TcpPump(this.#buffers);
  }

  override connectTo(server: Uint8Array, source: Uint8Array | undefined): number {
    return connectTo(server, source);
  }

  override unacknowledged(fd: number): number {
    return sendQueueBytes(fd);
  }
}
