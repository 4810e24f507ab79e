/** One valid message of every type. The compiler sees to it that none is missing. */
import { CONNECT_BUCKETS_MS } from '../../../src/msg/port-stats.js';
import { PROTOCOL_VERSION, type ToAgent, type ToParent } from '../../../src/msg/protocol.js';

type EachOf<Message extends { readonly type: string }> = {
  readonly [Type in Message['type']]: Extract<Message, { readonly type: Type }>;
};

const ADDRESS = { ip: '172.17.0.2', port: 80 };
const SOURCE_LOST = {
  disabled: 1,
  loopback: 2,
  family: 3,
  overlap: 4,
  local: 6,
  unreturned: 7,
  refused: 5,
};

/** As long as one can be. */
export const FLOW = {
  id: Number.MAX_SAFE_INTEGER,
  client: { ip: '2001:db8:1111:2222:3333:4444:5555:6666', port: 65535 },
  server: { ip: 'fd00:1111:2222:3333:4444:5555:6666:7777', port: 65535 },
  state: 'half-closed',
  ageMs: Number.MAX_SAFE_INTEGER,
  idleMs: Number.MAX_SAFE_INTEGER,
  bytesIn: Number.MAX_SAFE_INTEGER,
  bytesOut: Number.MAX_SAFE_INTEGER,
  packetsIn: Number.MAX_SAFE_INTEGER,
  packetsOut: Number.MAX_SAFE_INTEGER,
} as const;

export const HELLO = { type: 'hello', version: PROTOCOL_VERSION, pid: 4711 } as const;
export const ADD_PORT = {
  type: 'addPort',
  request: 1,
  fds: 2,
  port: {
    id: 3,
    proto: 'tcp',
    dial: [{ ip: '127.0.0.1', port: 80 }],
    mayHaveRule: true,
    isEngines: true,
    isShared: true,
    spec: '{}',
  },
} as const;

const toAgent: EachOf<ToAgent> = {
  hello: HELLO,
  addPort: ADD_PORT,
  removePort: { type: 'removePort', request: 2, id: 3 },
  stats: { type: 'stats', request: 3 },
  portStats: { type: 'portStats', request: 3, after: 512 },
  flows: { type: 'flows', request: 3, id: 3, most: 1000 },
  sourcePolicy: {
    type: 'sourcePolicy',
    request: 4,
    policy: { ipv4: true, ipv6: false, isRequired: true },
  },
  udpTimeouts: {
    type: 'udpTimeouts',
    request: 4,
    timeouts: { unrepliedMs: 30_000, repliedMs: 180_000 },
  },
  limits: {
    type: 'limits',
    request: 5,
    limits: { maxFlows: 0, maxFlowsPerPort: 100, maxFlowsPerSharedPort: 50, agents: 2 },
  },
  takeBack: { type: 'takeBack', request: 6 },
  drain: { type: 'drain', request: 7, limitMs: 3_600_000 },
  quit: { type: 'quit' },
  targets: { type: 'targets', id: 3, targets: [ADDRESS], isProxied: true, isDualStack: false },
  returnPath: {
    type: 'returnPath',
    target: ADDRESS.ip,
    client: '198.51.100.2',
    verdict: 'lost',
    scope: 'target',
    reason: 'the container has no default route',
  },
};

const toParent: EachOf<ToParent> = {
  hello: { ...HELLO, transports: ['tcp', 'sctp'] },
  resolve: { type: 'resolve', id: 3 },
  returnPath: {
    type: 'returnPath',
    id: 3,
    target: ADDRESS,
    client: '198.51.100.2',
  },
  sourceLost: {
    type: 'sourceLost',
    id: 3,
    loss: 'unreturned',
    isRefused: false,
    client: '198.51.100.2',
    server: ADDRESS,
    detail: 'the container has no default route',
  },
  shed: {
    type: 'shed',
    counts: {
      files: 1,
      systemFiles: 2,
      memory: 3,
      watches: 4,
      maxFlows: 5,
      maxFlowsPerPort: 6,
      sessions: 8,
      backlog: 7,
    },
  },
  refused: { type: 'refused', id: 3, flows: 2, client: { ip: '::1', port: 0 } },
  aborted: { type: 'aborted', id: 3, flows: 2, reason: 'memory' },
  done: { type: 'done', request: 1 },
  port: { type: 'port', request: 6, id: 3, spec: '{}', fds: 2 },
  failed: { type: 'failed', request: 1, code: 'ERR_PORT_ID', message: 'there is no port 3' },
  stats: {
    type: 'stats',
    request: 2,
    stats: {
      ports: 1,
      pipes: 6,
      transports: {
        udp: {
          flows: 2,
          accepted: 3,
          refused: 4,
          shed: 5,
          sourceKept: 7,
          sourceLost: SOURCE_LOST,
          sourceRefused: 8,
          drops: { oversized: 6 },
        },
      },
    },
  },
  portStats: {
    type: 'portStats',
    request: 3,
    ports: [
      {
        stats: {
          id: 3,
          flows: 1,
          accepted: 2,
          refused: 3,
          shed: 4,
          bytesIn: 5,
          bytesOut: 6,
          packetsIn: 7,
          packetsOut: 8,
          drops: { queueFull: 9 },
          connects: [...CONNECT_BUCKETS_MS, 0].map(() => 1),
          connectMicros: 10,
        },
        server: ADDRESS,
      },
    ],
  },
  flows: { type: 'flows', request: 3, total: 5000, flows: [FLOW] },
};

export const TO_AGENT: readonly ToAgent[] = Object.values(toAgent);
export const TO_PARENT: readonly ToParent[] = Object.values(toParent);
