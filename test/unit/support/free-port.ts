import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** A port of that loopback address that was free a moment ago. */
export async function freePort(ip = '127.0.0.1'): Promise<number> {
  const server = createServer().listen(0, ip);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
