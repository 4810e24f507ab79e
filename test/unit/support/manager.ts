import { SluiceError } from '../../../src/msg/errors.js';
import type { Manager, Spec, Status } from '../../../src/msg/port.js';

/** A port table without sockets. */
export class MemoryManager implements Manager {
  readonly ports = new Map<number, Status>();
  #lastId = 0;

  async addPort(spec: Spec): Promise<Status> {
    for (const other of this.ports.values()) {
      if (other.spec.parentPort === spec.parentPort) {
        throw new SluiceError('ERR_CONFLICT', `conflict with ID ${other.id}`);
      }
    }
    this.#lastId += 1;
    const status = { id: this.#lastId, spec };
    this.ports.set(status.id, status);
    return status;
  }

  async listPorts(): Promise<Status[]> {
    return [...this.ports.values()];
  }

  async removePort(id: number): Promise<void> {
    if (!this.ports.delete(id)) throw new SluiceError('ERR_UNKNOWN_ID', `unknown id: ${id}`);
  }
}
