/** A driver with its agent in a namespace, and sockets on both sides of it in the test's hands. */
import { setImmediate as turn } from 'node:timers/promises';
import { familyOf } from '../../dist/msg/sockaddr.js';
import * as linux from '../../dist/msg/linux.js';
import type { Spec } from '../../dist/msg/port.js';
import type { TransportStats } from '../../dist/msg/stats.js';
import type { Driver, DriverOptions } from '../../dist/parent/driver.js';
import type { PortFlows } from '../../dist/parent/snapshot.js';
import type { Cleanup } from './cleanup.js';
import { idAt, servingAgent, startDriver } from './driver.js';
import { type Namespace, enter, runIn } from './namespaces.js';
import { freePort } from './ports.js';
import { type Program, start } from './processes.js';
import { SocketsInside } from './sockets-inside.js';
import { AgentProbe } from './tcp-agent.js';
import { TcpSocket, connect, connectSocket, unbound } from './tcp-socket.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;
/** No more than a backlog holds, and than one byte can name. */
const CONNECTS_AT_ONCE = 100;

export interface Pair {
  readonly client: TcpSocket;
  readonly server: TcpSocket;
}

export class Forwarding {
  readonly #namespace: Namespace;
  readonly #driver: Driver;
  readonly #inside: SocketsInside;

  constructor(cleanup: Cleanup, namespace: Namespace, driver: Driver) {
    this.#namespace = namespace;
    this.#driver = driver;
    this.#inside = new SocketsInside(cleanup, namespace, linux.IPPROTO_TCP);
  }

  /** The agent that serves now. */
  get agent(): AgentProbe {
    return servingAgent();
  }

  async stats(): Promise<TransportStats & { readonly pipes: number }> {
    const { pipes, transports } = await this.#driver.stats();
    return { ...(transports.tcp as TransportStats), pipes };
  }

  /** A free port of the host, published to `childPort`. */
  async publish(childPort: number, more: Partial<Spec> = {}): Promise<number> {
    const parentPort = await freePort();
    const parentIP = '127.0.0.1';
    const childIP = '127.0.0.1';
    await this.#driver.addPort({ proto: 'tcp', parentIP, parentPort, childIP, childPort, ...more });
    return parentPort;
  }

  /** Removes the port that is published at `parentPort`. */
  async unpublish(parentPort: number): Promise<void> {
    await this.#driver.removePort(await idAt(this.#driver, parentPort));
  }

  /** The flows of the port that is published at `parentPort`. */
  async flows(parentPort: number, most?: number): Promise<PortFlows> {
    return this.#driver.flows(await idAt(this.#driver, parentPort), most);
  }

  /** Runs a program in the namespace to its end and returns its standard output. */
  run(command: readonly string[]): Promise<string> {
    return runIn(this.#namespace, command);
  }

  /** Starts a program in the namespace. */
  start(cleanup: Cleanup, command: readonly string[]): Promise<Program> {
    return start(cleanup, enter(this.#namespace, ...command));
  }

  /** A socket that is in the namespace, and in nothing else. */
  async unboundInside(cleanup: Cleanup, family = linux.AF_INET): Promise<TcpSocket> {
    return new TcpSocket(cleanup, await this.#inside.take(family));
  }

  /** Listens in the namespace, on a free port where none is given. */
  async listen(cleanup: Cleanup, ip = '127.0.0.1', port = 0, backlog = 1024): Promise<TcpSocket> {
    const socket = await this.unboundInside(cleanup, familyOf(ip));
    return socket.bind(ip, port).listen(backlog);
  }

  /** One connection through a port of its own. `shrunk` gives both ends small buffers. */
  async connection(cleanup: Cleanup, buffers: 'default' | 'shrunk' = 'default'): Promise<Pair> {
    const listener = await this.listen(cleanup);
    const client = unbound(cleanup);
    if (buffers === 'shrunk') [listener, client].forEach((socket) => socket.shrink());
    connectSocket(client, await this.publish(listener.port));
    return { client, server: await listener.accept(cleanup) };
  }

  /** Many connections through one port. */
  async connections(cleanup: Cleanup, count: number): Promise<Pair[]> {
    const listener = await this.listen(cleanup);
    const port = await this.publish(listener.port);
    return connections(cleanup, listener, count, () => connect(cleanup, port));
  }

  /** Waits until the agent has forgotten every flow. */
  async idle(): Promise<void> {
    const flows = async () => (await this.stats()).flows === 0;
    await until(flows, DEADLINE_MS, 'an agent without flows');
  }
}

/** A driver with its agent in a new namespace. */
export async function startForwarding(
  cleanup: Cleanup,
  options: DriverOptions = {},
): Promise<Forwarding> {
  const { namespace, driver } = await startDriver(cleanup, options);
  return new Forwarding(cleanup, namespace, driver);
}

/** `count` connections to `listener`; `connectNext` makes one, and is told how many there are. */
export async function connections(
  cleanup: Cleanup,
  listener: TcpSocket,
  count: number,
  connectNext: (before: number) => TcpSocket,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  while (pairs.length < count) {
    const missing = Math.min(count - pairs.length, CONNECTS_AT_ONCE);
    const clients = Array.from({ length: missing }, () => connectNext(pairs.length));
    for (const [index, client] of clients.entries()) client.send(Uint8Array.of(index));
    for (const _ of clients) {
      const server = await listener.accept(cleanup);
      const name = await until(() => server.receive(1), DEADLINE_MS, 'the name of a client');
      pairs.push({ client: clients[Number(name[0])] as TcpSocket, server });
    }
    // The driver is in this process, and has deadlines.
    await turn();
  }
  return pairs;
}
