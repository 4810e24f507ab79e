/** Ports of the host for tests to publish at. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below those that the kernel gives to clients (ip_local_port_range), one of which may come at any
 * time. Workers that run beside each other begin somewhere else each.
 */
const FIRST = 12_000;
const LAST = 31_999;
let last = FIRST + Math.floor(Math.random() * (LAST - FIRST));

/** Of both families. */
const WILDCARD = '::';

/** A port that nobody has, on any address, of TCP or UDP; never the same one twice in a row. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = last === LAST ? FIRST : last + 1;
    last = port;
    if (await isFree(port)) return port;
  }
}

/** The first of `count` free ports in a row. */
export async function freeRange(count: number): Promise<number> {
  for (;;) {
    const ports: number[] = [];
    for (let port = await freePort(); port === (ports.at(-1) ?? port - 1) + 1; ) {
      ports.push(port);
      if (ports.length === count) return ports[0] as number;
      port = await freePort();
    }
  }
}

/** Rejects when somebody listens on the TCP port, on any address. */
export async function assertFree(port: number): Promise<void> {
  const server = createServer().listen(port, WILDCARD);
  await once(server, 'listening');
  server.close();
  await once(server, 'close');
}

async function isFree(port: number): Promise<boolean> {
  const udp = createSocket('udp6').bind(port, WILDCARD);
  try {
    await once(udp, 'listening');
    await assertFree(port);
    return true;
  } catch {
    return false;
  } finally {
    udp.close();
  }
}
