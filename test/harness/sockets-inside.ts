/** Sockets that are in a namespace, and in nothing else. */
import { join } from 'node:path';
import { Channel, socketPair } from '../../dist/msg/channel.js';
import type { Fd } from '../../dist/msg/fd.js';
import { AF_INET, AF_INET6 } from '../../dist/msg/linux.js';
import type { Cleanup } from './cleanup.js';
import { type Namespace, enter } from './namespaces.js';
import { REPOSITORY } from './paths.js';
import { run } from './processes.js';
import { typeFor } from './socket.js';

const PROGRAM = join(REPOSITORY, 'test/harness/make-sockets.mjs');
/** Of each family: together as many as one message carries. */
const BATCH = 8;

export class SocketsInside {
  readonly #namespace: Namespace;
  readonly #protocol: number;
  readonly #spare: Record<number, Fd[]> = { [AF_INET]: [], [AF_INET6]: [] };

  constructor(cleanup: Cleanup, namespace: Namespace, protocol: number) {
    this.#namespace = namespace;
    this.#protocol = protocol;
    cleanup.defer(() => {
      for (const fd of Object.values(this.#spare).flat()) fd.close();
    });
  }

  /** A socket that is the caller's from now on. */
  async take(family: number): Promise<Fd> {
    const spare = this.#spare[family] ?? [];
    if (spare.length === 0) await this.#makeMore();
    return spare.pop() as Fd;
  }

  async #makeMore(): Promise<void> {
    const [ours, theirs] = socketPair();
    const channel = new Channel(ours);
    try {
      const options = [typeFor(this.#protocol), this.#protocol, BATCH].map(String);
      const program = [process.execPath, PROGRAM, ...options];
      await run(enter(this.#namespace, ...program), { extraFds: [theirs.number] });
      const [received] = [...channel.receive()];
      this.#spare[AF_INET]?.push(...(received?.fds.slice(0, BATCH) ?? []));
      this.#spare[AF_INET6]?.push(...(received?.fds.slice(BATCH) ?? []));
    } finally {
      theirs.close();
      channel.close();
    }
  }
}
