/** add-ports, list-ports and remove-ports, with rootlessctl's output. */
import { SluiceError } from '../../msg/errors.js';
import type { Status } from '../../msg/port.js';
import { parsePortSpec } from '../../msg/spec.js';
import { createApiClient } from '../api/client.js';
import { type SocketOptions, socketPathOf } from './socket.js';
import { tableOf } from './table.js';

interface Options extends SocketOptions {
  readonly json?: true;
}

const HEADINGS = ['ID', 'PROTO', 'PARENTIP', 'PARENTPORT', 'CHILDIP', 'CHILDPORT'];

/** Adds none when one of the specs is malformed; stops at the first that the API refuses. */
export async function addPorts(texts: readonly string[], options: Options): Promise<void> {
  const specs = texts.map(parsePortSpec);
  const client = createApiClient(await socketPathOf(options));
  for (const spec of specs) {
    const status = await client.addPort(spec);
    print(options.json ? JSON.stringify(status) : String(status.id));
  }
}

/** With --json one object a line. */
export async function listPorts(options: Options): Promise<void> {
  const ports = await createApiClient(await socketPathOf(options)).listPorts();
  const lines = options.json
    ? ports.map((port) => JSON.stringify(port))
    : tableOf([HEADINGS, ...ports.map(cells)]);
  for (const line of lines) {
    print(line);
  }
}

/** Removes none when one of the ids is malformed; stops at the first that the API refuses. */
export async function removePorts(texts: readonly string[], options: Options): Promise<void> {
  const ids = texts.map(parseId);
  const client = createApiClient(await socketPathOf(options));
  for (const id of ids) {
    await client.removePort(id);
    print(String(id));
  }
}

export function parseId(text: string): number {
  if (!/^\d{1,15}$/.test(text)) {
    throw new SluiceError('ERR_USAGE', `bad id ${JSON.stringify(text)}, expected an integer`);
  }
  return Number(text);
}

function cells({ id, spec }: Status): string[] {
  const { proto, parentIP = '', parentPort, childIP = '', childPort } = spec;
  return [String(id), proto, parentIP, String(parentPort), childIP, String(childPort)];
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
