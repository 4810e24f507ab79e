/** flows: the single flows of one port, as they are now. */
import { formatAddress } from '../../msg/sockaddr.js';
import type { PortFlow } from '../snapshot.js';
import { parseId } from './ports.js';
import { type SocketOptions, socketPathOf } from './socket.js';
import { tableOf } from './table.js';
import { duration } from './top/figures.js';
import { sluiceClient } from './watch.js';

interface Options extends SocketOptions {
  readonly json?: true;
}

const HEADINGS = [
  'CLIENT',
  'SERVER',
  'STATE',
  'AGE',
  'IDLE',
  'BYTESIN',
  'BYTESOUT',
  'PACKETSIN',
  'PACKETSOUT',
  'AGENT',
];

export async function listFlows(text: string, options: Options): Promise<void> {
  const id = parseId(text);
  const client = await sluiceClient(await socketPathOf(options));
  const answer = await client.flows(id);
  const more = answer.total - answer.flows.length;
  const lines = options.json
    ? [JSON.stringify(answer)]
    : [
        ...tableOf([HEADINGS, ...answer.flows.map(cells)]),
        ...(more > 0 ? [`... and ${more} more`] : []),
      ];
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

function cells(flow: PortFlow): string[] {
  const { client, server, state, ageMs, idleMs, agent } = flow;
  const { bytesIn, bytesOut, packetsIn, packetsOut } = flow;
  return [
    formatAddress(client),
    server === undefined ? '' : formatAddress(server),
    state,
    duration(ageMs),
    duration(idleMs),
    ...[bytesIn, bytesOut, packetsIn, packetsOut, agent].map(String),
  ];
}
