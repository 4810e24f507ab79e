/**
 * Which ports an earlier driver has left. Three know of them, each perhaps not of the last change:
 * the agents that serve them, the launcher that keeps their sockets, and the state file.
 *
 * Ids are given in ascending order and never twice. One who knows of an id as high as a port's, and
 * not of that port, knows that it was removed. So a port is there when somebody has it, and nobody
 * knows that it was removed.
 */

export interface Known {
  /** The highest id that was ever noted there. */
  readonly lastId: number;
  readonly ports: readonly { readonly id: number }[];
}

export class KnownPorts {
  readonly lastId: number;
  readonly #sources: readonly { readonly lastId: number; readonly ids: ReadonlySet<number> }[];

  constructor(...sources: readonly (Known | undefined)[]) {
    this.#sources = sources
      .filter((source) => source !== undefined)
      .map(({ lastId, ports }) => ({ lastId, ids: new Set(ports.map(({ id }) => id)) }));
    this.lastId = Math.max(0, ...this.#sources.map((source) => source.lastId));
  }

  /** Nobody is to serve it again. */
  wasRemoved(id: number): boolean {
    return this.#sources.some(({ lastId, ids }) => id <= lastId && !ids.has(id));
  }
}
