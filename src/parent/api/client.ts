/** A client of any RootlessKit API on a unix socket: ours, or rootlesskit's own. */
import { type IncomingMessage, request as httpRequest } from 'node:http';
import * as z from 'zod';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { type Manager, PROTOS } from '../../msg/port.js';
import type { Topic } from '../bus/topics.js';
import type { PortFlows } from '../snapshot.js';
import { flowsSchema } from './flows.js';
import { type Info, infoSchema } from './info.js';

const TIMEOUT_MS = 30_000;
/** Tens of thousands of ports. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** What a server of another make accepted is taken as it is: only the types are checked. */
export const statusSchema = z.object({
  id: z.int(),
  spec: z.object({
    proto: z.enum(PROTOS),
    parentIP: z.string().exactOptional(),
    parentPort: z.int(),
    childPort: z.int(),
    childIP: z.string().exactOptional(),
  }),
});
/** rootlesskit answers `null` where there is no port. */
const statusesSchema = z.array(statusSchema).nullable();
const topicSchema = z.object({ socket: z.string() });
const errorSchema = z.object({ message: z.string() });

export interface ApiClient extends Manager {
  info(): Promise<Info>;
  /** Ours only: resolves when the driver is about to replace itself. */
  reload(drainLimitMs: number): Promise<void>;
  /**
   * Ours only: the flows of that port. Of more than an answer takes, those that have moved the most
   * bytes.
   */
  flows(id: number): Promise<PortFlows>;
  /** Where sluice publishes that topic of its bus; any other driver answers ERR_API_FOREIGN. */
  topicSocket(topic: Topic): Promise<string>;
}

/**
 * A client of the API at a unix socket; each call has `timeoutMs` milliseconds, 30,000 by default.
 *
 * Every rejection is a SluiceError: ERR_API with the server's own message when it refused, else
 * ERR_API_UNREACHABLE, ERR_API_TIMEOUT or ERR_API_FOREIGN.
 */
export function createApiClient(socketPath: string, timeoutMs = TIMEOUT_MS): ApiClient {
  const call = async <T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> => {
    const reply = await exchange({ socketPath, timeoutMs, method, path, body });
    return interpret(schema, reply, `${socketPath} answered ${method} ${path}`);
  };
  return {
    info: () => call(infoSchema, 'GET', '/v1/info'),
    listPorts: async () => (await call(statusesSchema, 'GET', '/v1/ports')) ?? [],
    addPort: (spec) => call(statusSchema, 'POST', '/v1/ports', spec),
    reload: async (drainLimitMs) => {
      await call(z.unknown(), 'POST', '/v1/reload', { drainLimitMs });
    },
    removePort: async (id) => {
      await call(z.unknown(), 'DELETE', `/v1/ports/${id}`);
    },
    flows: (id) => call(flowsSchema, 'GET', `/v1/ports/${id}/flows`),
    topicSocket: async (topic) => (await call(topicSchema, 'GET', `/v1/bus/${topic}`)).socket,
  };
}

interface Exchange {
  readonly socketPath: string;
  readonly timeoutMs: number;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

async function exchange(call: Exchange): Promise<Reply> {
  const { socketPath, timeoutMs, method, path, body } = call;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const request = httpRequest({
      socketPath,
      method,
      path,
      signal,
      headers: { Host: 'rootlesskit', 'Content-Type': 'application/json' },
      agent: false,
    });
    request.end(body === undefined ? '' : JSON.stringify(body));
    // The error listener stays: an abort in the middle of the answer is emitted here as well.
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
    });
    return { status: response.statusCode ?? 0, text: await readText(response) };
  } catch (error) {
    throw signal.aborted ? timedOut(call, error) : unreachable(socketPath, error);
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new Error(`its answer is over ${MAX_ANSWER_BYTES} bytes`);
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

function interpret<T>(schema: z.ZodType<T>, { status, text }: Reply, what: string): T {
  let body: unknown;
  try {
    body = text === '' ? undefined : JSON.parse(text);
  } catch {
    throw foreign(what, status);
  }
  if (status >= 400) {
    const refused = errorSchema.safeParse(body);
    throw refused.success
      ? new SluiceError('ERR_API', refused.data.message)
      : foreign(what, status);
  }
  const result = schema.safeParse(body);
  if (!result.success) {
    throw foreign(what, status);
  }
  return result.data;
}

function foreign(what: string, status: number): SluiceError {
  return new SluiceError(
    'ERR_API_FOREIGN',
    `${what} with status ${status} and something that RootlessKit's API does not say; is it the api.sock of a rootlesskit?`,
  );
}

function timedOut({ socketPath, timeoutMs, method, path }: Exchange, cause: unknown): SluiceError {
  return new SluiceError(
    'ERR_API_TIMEOUT',
    `${socketPath} did not answer ${method} ${path} within ${timeoutMs} ms`,
    { cause },
  );
}

function unreachable(socketPath: string, cause: unknown): SluiceError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return new SluiceError('ERR_API_UNREACHABLE', reason(socketPath, code, cause), { cause });
}

function reason(socketPath: string, code: unknown, cause: unknown): string {
  switch (code) {
    case 'ENOENT':
      return `no API socket at ${socketPath}; is rootlesskit running with that state directory?`;
    case 'EACCES':
    case 'EPERM':
      return `not permitted to use ${socketPath}; run this as the user that rootlesskit runs as`;
    case 'ECONNREFUSED':
      return `nobody listens on ${socketPath}; the process that made it is gone, or it is no socket`;
    default:
      return `cannot use the API at ${socketPath}: ${messageOf(cause)}`;
  }
}
