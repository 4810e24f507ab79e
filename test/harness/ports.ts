import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/** Of both families. */
const WILDCARD = '::';

/** A port that nobody listens on, on any address. */
export async function freePort(): Promise<number> {
  return listenOnce(0);
}

/** Rejects when somebody listens on the port, on any address. */
export async function assertFree(port: number): Promise<void> {
  await listenOnce(port);
}

async function listenOnce(wanted: number): Promise<number> {
  const server = createServer().listen(wanted, WILDCARD);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The first of `count` free ports in a row. */
export async function freeRange(count: number): Promise<number> {
  for (;;) {
    const first = await freePort();
    const rest = Array.from({ length: count - 1 }, (_, index) => first + 1 + index);
    const results = await Promise.allSettled(rest.map(assertFree));
    if (results.every(({ status }) => status === 'fulfilled')) return first;
  }
}
