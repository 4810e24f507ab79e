/** All TCP ports of the agent. */

import { Connections, type ListeningPort, type Watchers } from '../connections.js';
import type { Tally } from '../counters.js';
import type { PublishedPort } from '../forwarder.js';
import type { PipePool } from '../pipes.js';
import type { Reactor } from '../reactor.js';
import { SlabPool } from '../slabs.js';
import { isLoopback, SourceAddresses } from '../source.js';
import { type Buffers, TcpPump } from './pump.js';
import { connectTo, dontPace, sendQueueBytes } from './sockets.js';

export class TcpForwarder extends Connections {
  readonly #buffers: Buffers;

  constructor(reactor: Reactor, pipes: PipePool, watchers: Watchers) {
    super(reactor, new SourceAddresses({ reachesLocalServers: true }, watchers), watchers);
    this.#buffers = { slabs: new SlabPool(), pipes };
  }

  override newPump(_: PublishedPort, tally: Tally): TcpPump {
    return new TcpPump(this.#buffers, tally);
  }

  override accepted(port: ListeningPort, fd: number, address: Uint8Array): void {
    if (isLoopback(address)) dontPace(fd);
    super.accepted(port, fd, address);
  }

  override connectTo(server: Uint8Array, source: Uint8Array | undefined): number {
    return connectTo(server, source);
  }

  override unacknowledged(fd: number): number {
    return sendQueueBytes(fd);
  }
}
