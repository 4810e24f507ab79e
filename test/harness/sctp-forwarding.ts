/** A driver with its agent in a namespace, and SCTP sockets on both sides of it. */
import type { PortDriverInfo, Spec } from '../../dist/msg/port.js';
import { familyOf } from '../../dist/msg/sockaddr.js';
import type { TransportStats } from '../../dist/msg/stats.js';
import type { Driver, DriverOptions } from '../../dist/parent/driver.js';
import type { PortFlows } from '../../dist/parent/snapshot.js';
import type { Cleanup } from './cleanup.js';
import { idAt, servingAgent, startDriver } from './driver.js';
import { type Namespace, enter } from './namespaces.js';
import { freePort } from './ports.js';
import { type Program, start } from './processes.js';
import { IPPROTO_SCTP } from './sctp-abi.js';
import { SctpSocket, unboundSctp } from './sctp-socket.js';
import { SocketsInside } from './sockets-inside.js';
import { AgentProbe } from './tcp-agent.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;

export interface Association {
  readonly client: SctpSocket;
  readonly server: SctpSocket;
}

export interface AssociationOptions {
  /** Where the client connects to. */
  readonly parentIP?: string;
  /** Where the server listens. */
  readonly childIP?: string;
  /** Sets options before the client connects and the server listens. */
  readonly prepare?: (client: SctpSocket, listener: SctpSocket) => void;
}

export class SctpForwarding {
  readonly #namespace: Namespace;
  readonly #driver: Driver;
  readonly #inside: SocketsInside;

  constructor(cleanup: Cleanup, namespace: Namespace, driver: Driver) {
    this.#namespace = namespace;
    this.#driver = driver;
    this.#inside = new SocketsInside(cleanup, namespace, IPPROTO_SCTP);
  }

  get agent(): AgentProbe {
    return servingAgent();
  }

  info(): Promise<PortDriverInfo> {
    return this.#driver.info();
  }

  async stats(): Promise<TransportStats> {
    return (await this.#driver.stats()).transports.sctp as TransportStats;
  }

  /** A free port of the host, published to `childPort`. */
  async publish(childPort: number, more: Partial<Spec> = {}): Promise<number> {
    const parentIP = more.parentIP ?? '127.0.0.1';
    const parentPort = more.parentPort ?? (await freePort());
    const childIP = '127.0.0.1';
    await this.#driver.addPort({
      proto: 'sctp',
      parentIP,
      parentPort,
      childIP,
      childPort,
      ...more,
    });
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

  /** Starts a program in the namespace. */
  start(cleanup: Cleanup, command: readonly string[]): Promise<Program> {
    return start(cleanup, enter(this.#namespace, ...command));
  }

  async unboundInside(cleanup: Cleanup, ip = '127.0.0.1'): Promise<SctpSocket> {
    return new SctpSocket(cleanup, await this.#inside.take(familyOf(ip)));
  }

  /** Listens in the namespace, on a free port where none is given. */
  async listen(cleanup: Cleanup, ip = '127.0.0.1', port = 0): Promise<SctpSocket> {
    return (await this.unboundInside(cleanup, ip)).bind(ip, port).listen(128);
  }

  /** One association through a port of its own. */
  async association(cleanup: Cleanup, options: AssociationOptions = {}): Promise<Association> {
    const { parentIP = '127.0.0.1', childIP = '127.0.0.1', prepare = () => {} } = options;
    const listener = await this.unboundInside(cleanup, childIP);
    const client = unboundSctp(cleanup, parentIP);
    prepare(client, listener);
    listener.bind(childIP, 0).listen(1);
    client.connect(parentIP, await this.publish(listener.port, { parentIP, childIP }));
    return { client, server: await listener.accept(cleanup) };
  }

  /** Waits until the agent has forgotten every association. */
  async idle(): Promise<void> {
    const flows = async () => (await this.stats()).flows === 0;
    await until(flows, DEADLINE_MS, 'an agent without associations');
  }
}

/** A driver with its agent in a new namespace. */
export async function startSctpForwarding(
  cleanup: Cleanup,
  options: DriverOptions = {},
): Promise<SctpForwarding> {
  const { namespace, driver } = await startDriver(cleanup, options);
  return new SctpForwarding(cleanup, namespace, driver);
}
