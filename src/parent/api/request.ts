/** A request to any RootlessKit API on a unix socket, and its answer, whatever that says. */
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { messageOf, SluiceError } from '../../msg/errors.js';

/** An agent that does not answer is given up after 30 s, and another one started. */
const TIMEOUT_MS = 60_000;
/** Tens of thousands of ports. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** Else Node makes one of the host's name, and compiles what it knows of IPv6 addresses for it. */
const NO_TLS = { servername: '' };

export interface ApiRequest {
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** 60,000 by default. */
  readonly timeoutMs?: number | undefined;
}

export interface ApiAnswer {
  readonly request: ApiRequest;
  readonly status: number;
  /** What was JSON; undefined for an empty answer. */
  readonly body: unknown;
}

/**
 * Rejects with a SluiceError: ERR_API with the server's own message when it refused, else
 * ERR_API_UNREACHABLE, ERR_API_TIMEOUT, or ERR_API_FOREIGN for an answer that is no JSON.
 */
export async function ask(request: ApiRequest): Promise<ApiAnswer> {
  const { status, text } = await exchange(request);
  const answer = { request, status, body: parse(request, status, text) };
  if (status < 400) return answer;
  const message = messageIn(answer.body);
  throw message === undefined ? foreign(answer) : new SluiceError('ERR_API', message);
}

/** For an answer that is none of RootlessKit's. */
export function foreign({ request, status }: Omit<ApiAnswer, 'body'>): SluiceError {
  const { socketPath, method, path } = request;
  return new SluiceError(
    'ERR_API_FOREIGN',
    `${socketPath} answered ${method} ${path} with status ${status} and something that RootlessKit's API does not say; is it the api.sock of a rootlesskit?`,
  );
}

async function exchange(asked: ApiRequest): Promise<{ status: number; text: string }> {
  const { socketPath, timeoutMs = TIMEOUT_MS, method, path, body } = asked;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const request = httpRequest({
      socketPath,
      method,
      path,
      signal,
      headers: { Host: 'rootlesskit', 'Content-Type': 'application/json' },
      agent: false,
      ...NO_TLS,
    });
    request.end(body === undefined ? '' : JSON.stringify(body));
    // The error listener stays: an abort in the middle of the answer is emitted here as well.
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve).on('error', reject);
    });
    return { status: response.statusCode ?? 0, text: await readText(response) };
  } catch (error) {
    throw signal.aborted ? timedOut(asked, timeoutMs, error) : unreachable(socketPath, error);
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

function parse(request: ApiRequest, status: number, text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    throw foreign({ request, status });
  }
}

function messageIn(body: unknown): string | undefined {
  const isObject = typeof body === 'object' && body !== null;
  return isObject && 'message' in body && typeof body.message === 'string'
    ? body.message
    : undefined;
}

function timedOut(
  { socketPath, method, path }: ApiRequest,
  timeoutMs: number,
  cause: unknown,
): SluiceError {
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
