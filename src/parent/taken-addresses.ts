/**
 * The host addresses that ports have taken. They are found by their transport and port number, so
 * that one among ten thousand ports is as soon looked at as one among ten.
 */

import { SluiceError } from '../msg/errors.js';
import { type Spec, type Status, transportOf } from '../msg/port.js';
import { hostAddresses, type HostAddress, overlaps } from './listen.js';

export class TakenAddresses {
  /** By transport and port number, then by the port's id. */
  readonly #taken = new Map<string, Map<number, readonly HostAddress[]>>();

  /** Throws ERR_CONFLICT where the kernel would let only one of two ports listen. */
  check(spec: Spec): void {
    const addresses = hostAddresses(spec);
    for (const [id, taken] of this.#taken.get(keyOf(spec)) ?? []) {
      const isTaken = taken.some((one) => addresses.some((other) => overlaps(one, other)));
      if (isTaken) throw new SluiceError('ERR_CONFLICT', `conflict with ID ${id}`);
    }
  }

  add({ id, spec }: Status): void {
    const key = keyOf(spec);
    const ports = this.#taken.get(key) ?? new Map<number, readonly HostAddress[]>();
    this.#taken.set(key, ports.set(id, hostAddresses(spec)));
  }

  remove({ id, spec }: Status): void {
    const key = keyOf(spec);
    const ports = this.#taken.get(key);
    ports?.delete(id);
    if (ports?.size === 0) this.#taken.delete(key);
  }
}

function keyOf({ proto, parentPort }: Spec): string {
  return `${transportOf(proto)}/${parentPort}`;
}
