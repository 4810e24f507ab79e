/** RootlessKit's REST API 1.1.1: what is asked, and what is answered. Nothing of HTTP's transport. */
import type { IncomingMessage } from 'node:http';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { fieldsOf, integer } from '../../msg/fields.js';
import { MAX_FLOWS } from '../../msg/flows.js';
import type { Manager } from '../../msg/port.js';
import { validateSpec } from '../../msg/spec.js';
import { type Topic, TOPICS } from '../bus/topics.js';
import type { PortFlows } from '../snapshot.js';
import { type Answer, CLOSE, parseJson, readBody, tooLong } from './exchange.js';
import type { Info } from './info.js';

/** Hundreds of times the longest Spec. */
const MAX_BODY_BYTES = 64 * 1024;

export interface ApiBackend {
  readonly manager: Manager;
  /** Asked at every `GET /v1/info`. */
  readonly info: () => Promise<Info>;
  /** Absent where this process can't be replaced. `begin` of the result is called after the answer. */
  readonly reload?: (drainLimitMs: number) => Promise<{ readonly begin: () => void }>;
  /** Answers `GET /metrics`. */
  readonly metrics?: () => Promise<Answer>;
  /** Rejects with ERR_PORT_ID for an unknown port; `most` is 1 to MAX_FLOWS. */
  readonly flows?: (id: number, most: number) => Promise<PortFlows>;
  /** Resolves with the socket that a topic of the bus is published on. */
  readonly openTopic?: (topic: Topic) => Promise<string>;
}

type Handler = (backend: ApiBackend, request: IncomingMessage, id: string) => Promise<Answer>;

interface Route {
  readonly path: RegExp;
  readonly methods: ReadonlyMap<string, Handler>;
}

const ROUTES: readonly Route[] = [
  { path: /^\/v1\/info$/, methods: new Map([['GET', getInfo]]) },
  {
    path: /^\/v1\/ports$/,
    methods: new Map([
      ['GET', listPorts],
      ['POST', addPort],
    ]),
  },
  { path: /^\/v1\/reload$/, methods: new Map([['POST', reload]]) },
  { path: /^\/v1\/ports\/([^/]+)$/, methods: new Map([['DELETE', removePort]]) },
  { path: /^\/v1\/ports\/([^/]+)\/flows$/, methods: new Map([['GET', getFlows]]) },
  { path: /^\/metrics$/, methods: new Map([['GET', getMetrics]]) },
  { path: /^\/v1\/bus\/([^/]+)$/, methods: new Map([['GET', getTopic]]) },
];

/** Never rejects: whatever goes wrong becomes an answer. */
export async function answer(backend: ApiBackend, request: IncomingMessage): Promise<Answer> {
  const { method = '', url = '' } = request;
  const [path = ''] = url.split('?', 1);
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (match === null) {
      continue;
    }
    const handler = route.methods.get(method);
    if (handler === undefined) {
      const allow = [...route.methods.keys()].join(', ');
      return refusal(405, `method ${method} is not allowed on ${path}, use ${allow}`, {
        Allow: allow,
      });
    }
    return handler(backend, request, match[1] ?? '').catch(failure);
  }
  return refusal(404, `unknown path ${path}, the API serves /v1/info and /v1/ports`);
}

async function getInfo({ info }: ApiBackend): Promise<Answer> {
  try {
    return { status: 200, body: await info() };
  } catch (error) {
    return refusal(500, messageOf(error));
  }
}

async function listPorts({ manager }: ApiBackend): Promise<Answer> {
  return { status: 200, body: await manager.listPorts() };
}

async function addPort({ manager }: ApiBackend, request: IncomingMessage): Promise<Answer> {
  const text = await readBody(request, MAX_BODY_BYTES);
  if (text === undefined) return tooLarge();
  const { id, spec } = await manager.addPort(validateSpec(parseJson(text)));
  return { status: 201, body: { id, spec } };
}

/** An addition of sluice to RootlessKit's API. */
async function reload(backend: ApiBackend, request: IncomingMessage): Promise<Answer> {
  const text = await readBody(request, MAX_BODY_BYTES);
  if (text === undefined) return tooLarge();
  const drainLimitMs = integer(fieldsOf(parseJson(text), 'the body'), 'drainLimitMs');
  if (backend.reload === undefined) {
    return refusal(400, 'this driver is part of another program; that one must be restarted');
  }
  const { begin } = await backend.reload(drainLimitMs);
  return { status: 202, onSent: begin };
}

function tooLarge(): Answer {
  return refusal(413, tooLong(MAX_BODY_BYTES), CLOSE);
}

async function removePort({ manager }: ApiBackend, _: unknown, id: string): Promise<Answer> {
  if (!/^-?\d{1,15}$/.test(id)) {
    return refusal(400, `bad id ${id}, expected an integer`);
  }
  await manager.removePort(Number(id));
  return { status: 200 };
}

/** This and the following are additions of sluice to RootlessKit's API. */
async function getFlows(backend: ApiBackend, request: IncomingMessage, id: string) {
  if (!/^\d{1,15}$/.test(id)) return refusal(400, `bad id ${id}, expected an integer`);
  const [, query] = (request.url ?? '').split('?', 2);
  const limit = new URLSearchParams(query).get('limit') ?? `${MAX_FLOWS}`;
  if (!/^\d{1,4}$/.test(limit) || Number(limit) < 1 || Number(limit) > MAX_FLOWS) {
    return refusal(400, `bad limit ${limit}, expected an integer from 1 to ${MAX_FLOWS}`);
  }
  if (backend.flows === undefined) return refusal(404, 'there are no flows to be seen here');
  try {
    return { status: 200, body: await backend.flows(Number(id), Number(limit)) };
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'ERR_PORT_ID') {
      return refusal(404, error.message);
    }
    throw error;
  }
}

async function getMetrics({ metrics }: ApiBackend): Promise<Answer> {
  return metrics?.() ?? refusal(404, 'there are no metrics here');
}

async function getTopic({ openTopic }: ApiBackend, _: unknown, name: string): Promise<Answer> {
  const topic = TOPICS.find((one) => one === name);
  if (openTopic === undefined || topic === undefined) {
    return refusal(404, `unknown topic ${name}, expected one of ${TOPICS.join(', ')}`);
  }
  return { status: 200, body: { socket: await openTopic(topic) } };
}

/** A SluiceError is the caller's to mend; anything else is a fault of ours. */
function failure(error: unknown): Answer {
  return refusal(error instanceof SluiceError ? 400 : 500, messageOf(error));
}

function refusal(status: number, message: string, headers: Answer['headers'] = {}): Answer {
  return { status, body: { message }, headers };
}
