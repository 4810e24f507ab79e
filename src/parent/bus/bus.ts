/**
 * The driver's bus: a socket for each topic, in the state directory. A topic is published from the
 * first time that somebody asks for it; until then there is no socket, and node-ipc is not loaded.
 */
import { join } from 'node:path';
import type { Publisher } from './publisher.js';
import type { Topic } from './topics.js';

interface Published {
  readonly publisher: Publisher;
  readonly path: string;
}

export class Bus {
  readonly #folder: string;
  readonly #opening = new Map<Topic, Promise<Published>>();
  readonly #open = new Map<Topic, Publisher>();
  readonly #onViewers: (topic: Topic, viewers: number) => void;

  /** `onViewers` is called whenever the number of those who watch a topic changes. */
  constructor(folder: string, onViewers: (topic: Topic, viewers: number) => void = () => {}) {
    this.#folder = folder;
    this.#onViewers = onViewers;
  }

  /**
   * Resolves with the socket's path.
   *
   * @throws SluiceError as listenAt
   */
  async open(topic: Topic): Promise<string> {
    let opening = this.#opening.get(topic);
    if (opening === undefined) {
      opening = this.#listen(topic);
      this.#opening.set(topic, opening);
      opening.catch(() => this.#opening.delete(topic));
    }
    return (await opening).path;
  }

  /** To those who watch now. */
  publish(topic: Topic, message: object): void {
    this.#open.get(topic)?.publish(message);
  }

  async close(): Promise<void> {
    const all = await Promise.allSettled(this.#opening.values());
    for (const one of all) {
      if (one.status === 'fulfilled') await one.value.publisher.close();
    }
  }

  async #listen(topic: Topic): Promise<Published> {
    const { Publisher } = await import('./publisher.js');
    const publisher = new Publisher((viewers) => this.#onViewers(topic, viewers));
    const path = join(this.#folder, `${topic}.sock`);
    await publisher.listen(path);
    this.#open.set(topic, publisher);
    return { publisher, path };
  }
}
