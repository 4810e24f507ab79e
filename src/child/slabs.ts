/** Buffers for bytes that were read and that the other side didn't take: none while all flows. */

import { allocate, giveBackPages, type Region } from '../msg/libc.js';

/** What one recv asks for. Copying more at once falls out of the second-level cache. */
export const COPY_BYTES = 64 * 1024;

const WARM_SLABS = 64;

export class SlabPool {
  /** Where everything is received first; only what can't be sent on moves to a slab. */
  readonly shared: Region;
  readonly #slabBytes: number;
  readonly #warmSlabs: number;
  readonly #idle: Region[] = [];

  constructor(slabBytes = COPY_BYTES, warmSlabs = WARM_SLABS) {
    this.shared = allocate(slabBytes);
    this.#slabBytes = slabBytes;
    this.#warmSlabs = warmSlabs;
  }

  /** Undefined when the system has no memory left. */
  take(): Region | undefined {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    try {
      return allocate(this.#slabBytes);
    } catch {
      return undefined;
    }
  }

  give(slab: Region): void {
    // Beyond a few, the address range is kept but its pages go back.
    if (this.#idle.length >= this.#warmSlabs) giveBackPages(slab);
    this.#idle.push(slab);
  }
}
