import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { SluiceError } from '../../../src/msg/errors.js';
import { CHILD_PORTS, type RunningPeer } from '../peers/peer.js';
import { field } from './measurement.js';

/** Ten thousand from here on are below those that the kernel gives to clients. */
const FIRST_PORT = 10_000;
/** Of our own: other programs have some of these ports on 127.0.0.1. */
const PARENT_IP = `127.1.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;

/**
 * The port calls of RootlessKit's API over one connection that is kept open, as dockerd's client
 * makes them: one after the other, with nothing checked that takes time.
 */
export class PortApi implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #socketPath: string;

  constructor({ apiSocket }: RunningPeer) {
    if (apiSocket === undefined) throw new SluiceError('BENCH_API', 'this peer has no API');
    this.#socketPath = apiSocket;
  }

  /** Resolves with the port's id. */
  async add(proto: 'tcp' | 'udp', parentPort: number, parentIP = '127.0.0.1'): Promise<number> {
    const childPort = proto === 'tcp' ? CHILD_PORTS.echo : CHILD_PORTS.udp;
    const spec = { proto, parentIP, parentPort, childPort };
    const id = field(JSON.parse(await this.#call('POST', '/v1/ports', spec)), 'id');
    if (typeof id !== 'number') throw new SluiceError('BENCH_API', 'an added port has no id');
    return id;
  }

  async remove(id: number): Promise<void> {
    await this.#call('DELETE', `/v1/ports/${id}`);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #call(method: string, path: string, body?: unknown): Promise<string> {
    const headers = { Host: 'rootlesskit', 'Content-Type': 'application/json' };
    const socketPath = this.#socketPath;
    const call = request({ agent: this.#agent, socketPath, method, path, headers });
    call.end(body === undefined ? '' : JSON.stringify(body));
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      call.on('response', resolve).on('error', reject);
    });
    const said = await text(answer);
    if ((answer.statusCode ?? 0) < 300) return said;
    throw new SluiceError('BENCH_API', `${method} ${path}: ${answer.statusCode} ${said}`);
  }
}

/** TCP ports that are added one after the other, and removed at the end. */
export class AddedPorts {
  readonly #api: PortApi;
  readonly #ids: number[] = [];

  constructor(api: PortApi) {
    this.#api = api;
  }

  async add(): Promise<void> {
    this.#ids.push(await this.#api.add('tcp', FIRST_PORT + this.#ids.length, PARENT_IP));
  }

  async addMany(count: number): Promise<void> {
    for (let added = 0; added < count; added++) await this.add();
  }

  async removeAll(): Promise<void> {
    for (const id of this.#ids.splice(0)) await this.#api.remove(id);
  }
}
