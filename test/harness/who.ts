/** A web page that tells who asks, and clients in a namespace that compare it to what they know. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Namespace, runIn } from './namespaces.js';

/** Answers with the server's host name, and the client's address and port as it sees them. */
export const WHO_PATH = '/cgi-bin/who';

const SCRIPT = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$HOSTNAME $REMOTE_ADDR $REMOTE_PORT"
`;

/** What busybox puts around addresses of its dual-stack socket. */
const NOTATION = /::ffff:|[[\]]/g;

/** Puts the page below the folder that `busybox httpd -h` serves. */
export function writeWhoPage(folder: string): void {
  const file = join(folder, WHO_PATH);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, SCRIPT, { mode: 0o755 });
}

/** "ADDRESS PORT" of a client, as it is and as the server sees it. */
export interface Who {
  readonly real: string;
  readonly seen: string;
}

/** One request out of the namespace `client`. */
export async function askWho(
  client: Namespace,
  host: string,
  port: number,
  patienceS = 10,
): Promise<Who> {
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}${WHO_PATH}`;
  const options = ['--silent', '--show-error', '--fail', '--max-time', String(patienceS)];
  const writeOut = ['--write-out', '%{local_ip} %{local_port}'];
  const output = await runIn(client, ['curl', ...options, ...writeOut, url]);
  const [page = '', real = ''] = output.split('\n');
  return { real, seen: page.slice(page.indexOf(' ') + 1).replaceAll(NOTATION, '') };
}
