/** portmapper: serves the port mapper plugin until the namespaces end, or a signal comes. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { createApiClient } from '../api/client.js';
import { stopSignal } from '../launcher/signals.js';
import { createPortMapper } from '../portmapper/mapper.js';
import { createPlugin } from '../portmapper/plugin.js';
import { type SocketOptions, socketPathOf } from './socket.js';

/** Where dockerd looks for the sockets of plugins; their names are the plugins'. */
const PLUGIN_SOCKET = '/run/docker/plugins/sluice.sock';

/** How long the process may outlive the namespaces that its socket is in. */
const LIFE_CHECK_MS = 1000;

interface Options extends SocketOptions {
  readonly listen?: string;
}

export async function servePortMapper(options: Options): Promise<void> {
  using stop = stopSignal();
  const client = createApiClient(await socketPathOf(options));
  const { childPID } = await client.info();
  const child = `/proc/${childPID}`;
  const path = options.listen ?? `${child}/root${PLUGIN_SOCKET}`;
  await makeFolder(dirname(path));
  const plugin = createPlugin(createPortMapper({ manager: client, info: () => client.info() }));
  await plugin.listen(path);
  process.stdout.write(`serving on ${path}\n`);
  try {
    await Promise.race([stop.signalled, endOf(child)]);
  } finally {
    await plugin.close();
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new SluiceError(
      'ERR_SOCKET',
      `cannot make ${path}: ${messageOf(error)}; start rootlesskit with --copy-up=/run, as dockerd-rootless.sh does, or give another path with --listen`,
      { cause: error },
    );
  }
}

async function endOf(processFolder: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const check = () => existsSync(processFolder) || resolve();
    setInterval(check, LIFE_CHECK_MS).unref();
  });
}
