/** What a server on one of our sockets gets and gives, whatever its routes are. */
import type { IncomingMessage } from 'node:http';
import { messageOf, SluiceError } from '../../msg/errors.js';

export interface Answer {
  readonly status: number;
  /** Sent as JSON; absent for an empty body. */
  readonly body?: unknown;
  /** Sent as it is, in place of `body`; its Content-Type is among the headers. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called once it has been sent. */
  readonly onSent?: () => void;
}

/** Headers of an answer to a request that was not read to its end. */
export const CLOSE = { Connection: 'close' } as const;

export function tooLong(maxBytes: number): string {
  return `the request body is over ${maxBytes} bytes`;
}

/** undefined when there is more than the limit; the rest is left unread, see CLOSE. */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
): Promise<string | undefined> {
  if (Number(request.headers['content-length']) > maxBytes) {
    return undefined;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The request is not destroyed here: that would take the connection, and our answer, with it.
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxBytes) {
      return undefined;
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** @throws SluiceError ERR_JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SluiceError('ERR_JSON', `malformed JSON: ${messageOf(error)}`, { cause: error });
  }
}
