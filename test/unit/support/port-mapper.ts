/** The port mapper over a real port table, which binds its host sockets; only the agent is missing. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Manager, Spec } from '../../../src/msg/port.js';
import type { PortMapperInfo } from '../../../src/parent/portmapper/child-host-ip.js';
import { type PortBindingReq, PROTOCOL } from '../../../src/parent/portmapper/contract.js';
import { createPortMapper } from '../../../src/parent/portmapper/mapper.js';
import { PortTable } from '../../../src/parent/ports.js';
import { Protos } from '../../../src/parent/protos.js';
import type { Cleanup } from '../../harness/cleanup.js';

const TCP = ['tcp', 'tcp4', 'tcp6'] as const;

/** Two IPv4 loopback addresses, and the IPv6 one. */
export const [HOST, OTHER_HOST, HOST6] = ['127.0.0.1', '127.0.0.2', '::1'] as const;

/** Changes to what `/v1/info` tells. */
export interface Differences {
  readonly portDriver?: Partial<NonNullable<PortMapperInfo['portDriver']>>;
  readonly childIP?: string;
}

/** Every host address has the ChildHostIP of the tap. */
export const TAP: Differences = {
  portDriver: { protos: ['tcp', 'tcp4'], disallowLoopbackChildIP: true },
  childIP: '10.0.2.100',
};

export function mapperOver(manager: Manager, { portDriver, childIP }: Differences = {}) {
  const networkDriver = { driver: 'slirp4netns', ...(childIP !== undefined && { childIP }) };
  const driver = { driver: 'sluice', protos: [...TCP], ...portDriver };
  return createPortMapper({ manager, info: async () => ({ networkDriver, portDriver: driver }) });
}

export function tableAndMapper(cleanup: Cleanup, differences?: Differences) {
  const servers = { count: 1, ask: async () => {}, now: () => [] };
  const table = new PortTable(new Protos(TCP), servers);
  cleanup.defer(() => table.close());
  return { table, mapper: mapperOver(table, differences) };
}

/** For an ephemeral port of HOST, or the exact `hostPort`. */
export function request(given: Partial<PortBindingReq> = {}): PortBindingReq {
  const hostPort = given.hostPort ?? 0;
  const base = { proto: PROTOCOL.tcp, ip: '172.17.0.2', port: 80, hostIP: HOST };
  return { ...base, hostPort, hostPortEnd: hostPort, ...given };
}

/** Somebody else's listener. */
export async function occupy(cleanup: Cleanup, port: number, host: string): Promise<void> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  cleanup.defer(() => new Promise((resolve) => server.close(resolve)));
}

export async function specs(table: Manager): Promise<Spec[]> {
  return (await table.listPorts()).map(({ spec }) => spec);
}
