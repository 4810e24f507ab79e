/** Serves RootlessKit's REST API on a unix socket, or another one that speaks JSON. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { explainBindError } from '../bind-error.js';
import type { TcpAddress } from '../metrics/listen.js';
import { type Answer, CLOSE } from './exchange.js';
import { isTrusted, peerUid } from './peer.js';
import { type ApiBackend, answer } from './routes.js';
import { listenAt, type RemovePath, serveHeld } from './socket.js';

/**
 * Callers are local and send a few hundred bytes. Node.js counts the time in which this process was
 * stopped itself, so that the limit is longer than a stop that is taken back.
 */
const REQUEST_TIMEOUT_MS = 30_000;
/** After an answer that ends the connection, how long a client may go on sending unread bytes. */
const LINGER_MS = 1_000;
/** How long requests that are being answered may hold up close(). */
const CLOSE_GRACE_MS = 2_000;

export interface ApiOptions extends ApiBackend {
  /** From a request's first byte, or the connection, to its last byte. */
  readonly requestTimeoutMs?: number;
}

export interface Api {
  /**
   * `held` is the number of a socket that listens at `path` already: see `holdSocket`.
   *
   * @throws SluiceError ERR_SOCKET_LIVE when another process serves there, else ERR_SOCKET
   */
  listen(path: string, held?: number): Promise<void>;
  /** Over TCP. @throws SluiceError as a port that can't be published */
  listenOn(address: TcpAddress): Promise<number>;
  /** Resolves once the socket is gone and every connection has ended. */
  close(): Promise<void>;
  /** The same, but the path stays for whoever serves there next. */
  leave(): Promise<void>;
}

export function createApi(options: ApiOptions): Api {
  return createSocketServer((request) => answer(options, request), options.requestTimeoutMs);
}

/** Must not reject. `gone` is aborted once nobody waits for the answer any more. */
type Respond = (request: IncomingMessage, gone: AbortSignal) => Promise<Answer>;

export function createSocketServer(respond: Respond, requestTimeoutMs = REQUEST_TIMEOUT_MS): Api {
  /** Over TCP everybody on this machine may ask: nothing else is served there. */
  let isPublic = false;
  const guarded: Respond = async (request, gone) => {
    const uid = isPublic ? process.getuid?.() : peerUid(request.socket);
    return isTrusted(uid) ? respond(request, gone) : forbidden(uid);
  };
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 4,
    },
    (request, response) => {
      void serve(guarded, request, response);
    },
  );
  let removePath: RemovePath | undefined;
  const leave = () =>
    new Promise<void>((resolve) => {
      const grace = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
      server.close(() => {
        clearTimeout(grace);
        resolve();
      });
    });
  return {
    async listen(path, held) {
      removePath = await (held === undefined
        ? listenAt((boundPath) => server.listen(boundPath), path)
        : serveHeld(server, path, held));
    },
    async listenOn({ ip, port }) {
      isPublic = true;
      server.listen(port, ip);
      await once(server, 'listening').catch(async (error: NodeJS.ErrnoException) => {
        throw await explainBindError(error.code ?? '', { address: ip, port, proto: 'tcp' });
      });
      return (server.address() as AddressInfo).port;
    },
    async close() {
      removePath?.();
      await leave();
    },
    leave,
  };
}

async function serve(
  respond: Respond,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A client that goes away is no error of ours, and the response swallows what is written to it.
  response.on('error', () => {});
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  send(request, response, await respond(request, gone.signal));
}

/** Another user's request. The socket's mode keeps them out, until somebody changes it. */
function forbidden(uid: number | undefined): Answer {
  const who = uid === undefined ? 'an unknown user' : `user ${uid}`;
  const message = `${who} may not use this socket: it is for user ${process.getuid?.()} alone`;
  return { status: 403, body: { message }, headers: CLOSE };
}

function send(request: IncomingMessage, response: ServerResponse, result: Answer): void {
  const { status, body, headers, onSent } = result;
  if (onSent !== undefined) response.once('finish', onSent);
  if (body === undefined && result.text === undefined) {
    response.writeHead(status, { ...headers, 'Content-Length': 0 }).end();
    return;
  }
  const text = Buffer.from(result.text ?? JSON.stringify(body));
  response.writeHead(status, {
    'Content-Type': 'application/json',
    ...headers,
    'Content-Length': text.length,
  });
  response.write(text);
  if (headers?.['Connection'] === 'close' && !request.complete) {
    linger(request, response);
  } else {
    response.end();
  }
}

/**
 * Closing a socket with unread bytes in it resets the connection, and a client that is still
 * sending may then never look at the answer. So what it sends is thrown away for a while.
 */
function linger(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.once('close', end);
  request.resume();
}
