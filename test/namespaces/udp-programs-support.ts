import { createHash } from 'node:crypto';
import type { Cleanup } from '../harness/cleanup.js';
import { type Namespace, enter, runIn } from '../harness/namespaces.js';
import { type Program, start } from '../harness/processes.js';
import { until } from '../harness/wait.js';

const READY_MS = 30_000;
const TRAFFIC_MS = 30_000;

/** What iperf3 reports at the end, of the receiving side. */
export interface Received {
  readonly bytes: number;
  readonly bits_per_second: number;
  /** UDP only. */
  readonly lost_percent?: number;
}

/** Starts a server in a namespace, and waits until it has the socket that `ss` finds by `filter`. */
export async function serveIn(
  cleanup: Cleanup,
  namespace: Namespace,
  command: readonly string[],
  filter: readonly string[],
): Promise<Program> {
  const server = await start(cleanup, enter(namespace, ...command));
  const sockets = () => runIn(namespace, ['ss', '--no-header', '--all', ...filter]);
  await server.until(sockets, READY_MS, `a socket ${filter.join(' ')}`);
  return server;
}

/** Runs iperf3 in `client`; a server that isn't done with the client before is asked again. */
export async function iperf(client: Namespace, ...options: readonly string[]): Promise<Received> {
  const command = ['iperf3', '--json', ...options];
  const attempt = async () => {
    const report: unknown = JSON.parse(
      await runIn(client, ['sh', '-c', '"$@" || true', 'sh', ...command]),
    );
    const { error, end } = report as {
      error?: string;
      end: { sum_received?: Received; sum?: Received };
    };
    if (error !== undefined) throw new Error(error);
    return end.sum_received ?? end.sum;
  };
  return until(attempt, TRAFFIC_MS, `a report of ${command.join(' ')}`);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Makes the device wg0 without the kernel's WireGuard, in a namespace with a /run of its own. */
export async function makeDevice(cleanup: Cleanup, namespace: Namespace): Promise<void> {
  const device = ['env', 'WG_PROCESS_FOREGROUND=1', 'wireguard-go', '--foreground', 'wg0'];
  await serveIn(cleanup, namespace, device, ['--unix', 'src = /var/run/wireguard/wg0.sock']);
}

/** Gives wg0 a key, the port and the address of a tunnel; returns its public key. */
export async function configureDevice(
  namespace: Namespace,
  address: string,
  port: number,
): Promise<string> {
  const setUp = `umask 077
    wg genkey >/run/key
    wg set wg0 private-key /run/key listen-port ${port}
    ip addr add ${address}/64 dev wg0 nodad
    ip link set wg0 up
    wg pubkey </run/key`;
  return (await runIn(namespace, ['sh', '-e', '-c', setUp])).trim();
}

/** Lets the peer with that public key use an address of the tunnel. */
export async function addPeer(
  namespace: Namespace,
  key: string,
  address: string,
  ...options: readonly string[]
): Promise<void> {
  const peer = ['peer', key, 'allowed-ips', address, ...options];
  await runIn(namespace, ['wg', 'set', 'wg0', ...peer]);
}
