/** What is listed of ports, and of one port's flows. */
import { duration, graph, short } from './figures.js';
import type { FlowRow } from './flow-rows.js';
import type { Listing } from './list.js';
import type { PortRow } from './rows.js';

const GRAPH = 12;
/** 127.0.0.1:18080:80/tcp, and what stands before it. */
const LEAST_SPEC = 24;
/** 255.255.255.255:65535, after a space. */
const SERVER = 22;
/** The same, and the mark before it. */
const LEAST_CLIENT = SERVER + 1;

export const PORTS: Listing<PortRow> = {
  columns: [
    { title: 'ID', width: 5, luxury: 0, text: ({ id }) => String(id) },
    { title: 'FLOWS', width: 6, luxury: 1, text: ({ flows }) => short(flows) },
    { title: 'NEW/S', width: 6, luxury: 6, text: ({ newFlows }) => short(newFlows) },
    { title: 'IN B/S', width: 7, luxury: 2, text: ({ bytesIn }) => short(bytesIn) },
    { title: 'OUT B/S', width: 8, luxury: 2, text: ({ bytesOut }) => short(bytesOut) },
    { title: 'IN P/S', width: 7, luxury: 7, text: ({ packetsIn }) => short(packetsIn) },
    { title: 'OUT P/S', width: 8, luxury: 7, text: ({ packetsOut }) => short(packetsOut) },
    { title: 'SOURCE', width: 7, luxury: 4, text: ({ source }) => source },
    { title: 'LOST', width: 6, luxury: 3, text: ({ lost }) => short(lost) },
    {
      title: `BYTES, ${GRAPH} S`,
      width: GRAPH + 1,
      isForTerminals: true,
      luxury: 5,
      text: ({ history }, { isUtf8 }) => graph(history, GRAPH, isUtf8),
    },
  ],
  name: { title: 'PORT -> SERVER', least: LEAST_SPEC, text: nameOf },
};

export const FLOWS: Listing<FlowRow> = {
  columns: [
    { title: 'AGENT', width: 8, luxury: 8, text: ({ agent }) => String(agent) },
    { title: 'STATE', width: 12, luxury: 3, text: ({ state }) => state },
    { title: 'AGE', width: 6, luxury: 5, text: ({ ageMs }) => duration(ageMs) },
    { title: 'IDLE', width: 6, luxury: 2, text: ({ idleMs }) => duration(idleMs) },
    { title: 'IN B/S', width: 7, luxury: 1, text: ({ bytesIn }) => short(bytesIn) },
    { title: 'OUT B/S', width: 8, luxury: 1, text: ({ bytesOut }) => short(bytesOut) },
    { title: 'IN B', width: 6, luxury: 6, text: ({ totalIn }) => short(totalIn) },
    { title: 'OUT B', width: 6, luxury: 6, text: ({ totalOut }) => short(totalOut) },
    { title: 'IN P', width: 6, luxury: 7, text: ({ packetsIn }) => short(packetsIn) },
    { title: 'OUT P', width: 6, luxury: 7, text: ({ packetsOut }) => short(packetsOut) },
    // Of a long IPv6 address the end tells most.
    { title: 'SERVER', width: SERVER, luxury: 4, text: ({ server }) => server.slice(1 - SERVER) },
  ],
  name: { title: 'CLIENT', least: LEAST_CLIENT, text: ({ client }) => client },
};

export function nameOf({ spec, server }: PortRow): string {
  return server === '' ? spec : `${spec} -> ${server}`;
}
