/** A driver with its agent in a namespace, UDP servers in there and clients on this side. */
import { DgramAsPromised, type SocketAsPromised } from 'dgram-as-promised';
import * as linux from '../../dist/msg/linux.js';
import type { Spec } from '../../dist/msg/port.js';
import { familyOf } from '../../dist/msg/sockaddr.js';
import type { TransportStats } from '../../dist/msg/stats.js';
import type { Driver, DriverOptions } from '../../dist/parent/driver.js';
import type { PortFlows } from '../../dist/parent/snapshot.js';
import type { Cleanup } from './cleanup.js';
import { idAt, servingAgent, startDriver } from './driver.js';
import type { Namespace } from './namespaces.js';
import type { AgentProbe } from './tcp-agent.js';
import { SocketsInside } from './sockets-inside.js';
import { freePort } from './ports.js';
import { UdpSocket } from './udp-socket.js';
import { until } from './wait.js';

const DEADLINE_MS = 15_000;

export class UdpForwarding {
  readonly driver: Driver;
  readonly namespace: Namespace;
  readonly #inside: SocketsInside;

  constructor(cleanup: Cleanup, namespace: Namespace, driver: Driver) {
    this.namespace = namespace;
    this.driver = driver;
    this.#inside = new SocketsInside(cleanup, namespace, linux.IPPROTO_UDP);
  }

  get agent(): AgentProbe {
    return servingAgent();
  }

  async stats(): Promise<TransportStats> {
    return (await this.driver.stats()).transports.udp as TransportStats;
  }

  async untilStats(what: string, isMet: (stats: TransportStats) => boolean): Promise<void> {
    await until(async () => isMet(await this.stats()), DEADLINE_MS, what);
  }

  /** A server's socket in the namespace, on a free port where none is given. */
  async server(cleanup: Cleanup, ip = '127.0.0.1', port = 0): Promise<UdpSocket> {
    const family = familyOf(ip);
    return new UdpSocket(cleanup, await this.#inside.take(family), family).bind(ip, port);
  }

  /** A free port of the host, published to `childPort`. */
  async publish(childPort: number, more: Partial<Spec> = {}): Promise<number> {
    const parentPort = await freePort();
    const addresses = { parentIP: '127.0.0.1', childIP: '127.0.0.1' };
    await this.driver.addPort({ proto: 'udp', ...addresses, parentPort, childPort, ...more });
    return parentPort;
  }

  async unpublish(parentPort: number): Promise<void> {
    await this.driver.removePort(await idAt(this.driver, parentPort));
  }

  /** The flows of the port that is published at `parentPort`. */
  async flows(parentPort: number, most?: number): Promise<PortFlows> {
    return this.driver.flows(await idAt(this.driver, parentPort), most);
  }
}

/** A driver with its agent in a new namespace. */
export async function startUdpForwarding(
  cleanup: Cleanup,
  options: DriverOptions = {},
): Promise<UdpForwarding> {
  const { namespace, driver } = await startDriver(cleanup, options);
  return new UdpForwarding(cleanup, namespace, driver);
}

export type Client = SocketAsPromised;

/** A client on the host, bound to a free port of `ip`. */
export async function udpClient(cleanup: Cleanup, ip = '127.0.0.1'): Promise<Client> {
  const type = familyOf(ip) === linux.AF_INET ? 'udp4' : 'udp6';
  const client = DgramAsPromised.createSocket(type).setTimeout(DEADLINE_MS);
  cleanup.defer(() => client.close());
  await client.bind(0, ip);
  return client;
}

/** The next datagram that comes to the client, and where it came from. */
export async function next(
  client: Client,
): Promise<{ text: string; address: string; port: number }> {
  const packet = await client.recv();
  if (packet === undefined) throw new Error('the client was closed');
  const { msg, rinfo } = packet;
  return { text: msg.toString('latin1'), address: rinfo.address, port: rinfo.port };
}
