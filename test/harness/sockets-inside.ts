/** Sockets that are in a namespace, and in nothing else. */
import { join } from 'node:path';
import { Channel, socketPair } from '../../dist/msg/channel.js';
import type { Fd } from '../../dist/msg/fd.js';
import type { Cleanup } from './cleanup.js';
import { type Namespace, enter } from './namespaces.js';
import { REPOSITORY } from './paths.js';
import { run } from './processes.js';

const PROGRAM = join(REPOSITORY, 'test/harness/make-sockets.ts');
/** As many as one message carries. */
const BATCH = 16;

export class SocketsInside {
  readonly #namespace: Namespace;
  readonly #protocol: number;
  readonly #spare = new Map<number, Fd[]>();

  constructor(cleanup: Cleanup, namespace: Namespace, protocol: number) {
    this.#namespace = namespace;
    this.#protocol = protocol;
    cleanup.defer(() => [...this.#spare.values()].flat().forEach((fd) => fd.close()));
  }

  /** A socket that is the caller's from now on. */
  async take(family: number): Promise<Fd> {
    const spare = this.#spare.get(family) ?? [];
    if (spare.length === 0) spare.push(...(await this.#make(family)));
    this.#spare.set(family, spare);
    return spare.pop() as Fd;
  }

  async #make(family: number): Promise<readonly Fd[]> {
    const [ours, theirs] = socketPair();
    const channel = new Channel(ours);
    try {
      const options = [family, this.#protocol, BATCH].map(String);
      const program = [process.execPath, '--import', 'tsx', PROGRAM, ...options];
      await run(enter(this.#namespace, ...program), { extraFds: [theirs.number] });
      const [received] = [...channel.receive()];
      return received?.fds ?? [];
    } finally {
      theirs.close();
      channel.close();
    }
  }
}
