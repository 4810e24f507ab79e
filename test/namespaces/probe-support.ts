/** A driver on a "host", a "container" behind it, and what `sluice probe` says about their ports. */
import type { Transport } from '../../src/msg/port.js';
import type { View } from '../../src/parent/probe/view.js';
import type { Cleanup } from '../harness/cleanup.js';
import {
  CLIENT_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  makeHost,
} from '../harness/namespaces.js';
import { type Program, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { outputOf } from '../unit/support/cli.js';
import { type RunningDriver, startDriver } from './driver-support.js';

const READY_MS = 30_000;

/** Of the container, in the child namespace's network. */
export const CONTAINER = CLIENT_ADDRESS;
/** In that network, where nobody has it. */
export const NOBODY = { v4: '198.51.100.77', v6: 'fd00:1::77' } as const;
export const LOOPBACK = { v4: '127.0.0.1', v6: '::1' } as const;
export const WILDCARD = { v4: '0.0.0.0', v6: '::' } as const;

export const FAMILIES = ['v4', 'v6'] as const;
export type Family = (typeof FAMILIES)[number];

/** What servers listen on. */
export const PORT = 80;
/** Ports of the host, on 127.0.0.1, that lead to the container. */
export const PUBLISHED = { v4: 8004, v6: 8006 } as const;
/** Likewise to where nobody is. */
export const GONE = { v4: 9004, v6: 9006 } as const;

/** With a mount namespace of its own, which its user may enter. */
const STAY = 'echo "inside $$"; echo serving; exec sleep infinity';

/** How a server deals with its clients. */
export type Manner = 'answers' | 'listens' | 'ends';

/**
 * Listens on every address until it is ended: IPv6 ones for IPv6 alone, `dual` for both families.
 * Datagrams are answered from the first of them.
 */
const SERVERS = `
  const [manner, proto, ...addresses] = process.argv.slice(1);
  const net = require('node:net');
  const dgram = require('node:dgram');
  let missing = addresses.length;
  const ready = () => --missing || console.log('serving');
  const sockets = [];
  for (const address of addresses) {
    if (proto === 'udp') {
      const isIPv6 = address.includes(':');
      const udp = dgram.createSocket({ type: isIPv6 ? 'udp6' : 'udp4', ipv6Only: isIPv6 });
      sockets.push(udp);
      if (manner === 'answers') {
        udp.on('message', (text, { port, address }) => sockets[0].send(text, port, address));
      }
      udp.bind(${PORT}, address, ready);
    } else {
      net.createServer((tcp) => {
        tcp.on('error', () => {});
        if (manner === 'answers') tcp.write('hello');
        if (manner === 'ends') tcp.end();
      }).listen(
        address === 'dual'
          ? { port: ${PORT}, host: '::' }
          : { port: ${PORT}, host: address, ipv6Only: true },
        ready,
      );
    }
  }`;

export class Published {
  readonly host: Namespace;
  readonly child: Namespace;
  readonly container: Namespace;
  readonly driver: RunningDriver;

  constructor(host: Namespace, child: Namespace, container: Namespace, driver: RunningDriver) {
    this.host = host;
    this.child = child;
    this.container = container;
    this.driver = driver;
  }

  serve(
    cleanup: Cleanup,
    manner: Manner,
    proto: Transport,
    ...addresses: readonly string[]
  ): Promise<Program> {
    return this.serveIn(this.container, cleanup, manner, proto, ...addresses);
  }

  async serveIn(
    namespace: Namespace,
    cleanup: Cleanup,
    ...[manner, proto, ...addresses]: readonly [Manner, Transport, ...string[]]
  ): Promise<Program> {
    const command = [process.execPath, '--eval', SERVERS, manner, proto, ...addresses];
    const server = await start(cleanup, enter(namespace, ...command));
    await server.line(/^serving$/m, READY_MS);
    return server;
  }

  /** The exit code of a probe on the host, and what it printed. */
  async output(...args: readonly string[]) {
    const command = sluice('probe', '--socket', this.driver.socketPath, ...args);
    return outputOf(enter(this.host, ...command));
  }

  /** What it printed as JSON. */
  async views(...args: readonly string[]): Promise<{ code: number | null; views: View[] }> {
    const { code, stdout, stderr } = await this.output('--json', ...args);
    if (stderr !== '') throw new Error(stderr);
    const views = stdout.trimEnd().split('\n');
    return { code, views: views.map((line) => JSON.parse(line) as View) };
  }

  /** Of the one port that leads to the container. */
  async view(
    proto: Transport,
    family: Family,
    ports: Readonly<Record<Family, number>> = PUBLISHED,
  ): Promise<View> {
    const { code, views } = await this.views(`127.0.0.1:${ports[family]}/${proto}`);
    const [view] = views;
    if (view === undefined || views.length > 1) throw new Error(`${views.length} views`);
    const isGood = ['answered', 'connected'].includes(view.verdict) && view.reason === undefined;
    if (code !== (isGood ? 0 : 1)) throw new Error(`exit code ${code} of ${JSON.stringify(view)}`);
    return view;
  }
}

/** Ports for both protocols and families, to the container and to nobody. */
export async function publishAll(cleanup: Cleanup): Promise<Published> {
  const host = await makeHost(cleanup);
  const command = ['unshare', '--mount', 'sh', '-c', STAY];
  const driver = await startDriver(cleanup, host, { command });
  const [, pid] = await driver.program.line(/^inside (\d+)$/m, READY_MS);
  const child = { pid: Number(pid) };
  const container = await makeClient(cleanup, child);
  for (const proto of ['tcp', 'udp'] as const) {
    for (const family of FAMILIES) {
      for (const [ports, addresses] of [
        [PUBLISHED, CONTAINER],
        [GONE, NOBODY],
      ] as const) {
        const childIP = addresses[family];
        const parentPort = ports[family];
        await driver.add({ proto, parentIP: '127.0.0.1', parentPort, childPort: PORT, childIP });
      }
    }
  }
  return new Published(host, child, container, driver);
}
