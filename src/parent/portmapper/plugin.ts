/** A port mapper as a Docker plugin: JSON posted to a unix socket, errors as {"Err": "..."}. */

import type { IncomingMessage } from 'node:http';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { type Answer, CLOSE, parseJson, readBody, tooLong } from '../api/exchange.js';
import { type Api, createSocketServer } from '../api/server.js';
import type { PortMapper } from './contract.js';
import { decodeMapPorts, decodeUnmapPorts, encodeBinding } from './wire.js';

/** Every port there is, in one request. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

type Handler = (mapper: PortMapper, body: unknown, gone: AbortSignal) => Promise<object>;

const HANDLERS: ReadonlyMap<string, Handler> = new Map([
  ['/Plugin.Activate', activate],
  ['/PortMapper.MapPorts', mapPorts],
  ['/PortMapper.UnmapPorts', unmapPorts],
]);

/** A caller that goes away before it has its answer has mapped nothing. */
export function createPlugin(mapper: PortMapper): Api {
  return createSocketServer(async (request, gone) => {
    try {
      return await answer(mapper, request, gone);
    } catch (error) {
      return refusal(error instanceof SluiceError ? 400 : 500, messageOf(error));
    }
  });
}

async function answer(
  mapper: PortMapper,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<Answer> {
  const { method, url = '' } = request;
  const handler = HANDLERS.get(url);
  if (handler === undefined) {
    return refusal(
      404,
      `unknown path ${url}, the plugin serves ${[...HANDLERS.keys()].join(', ')}`,
    );
  }
  if (method !== 'POST') {
    return refusal(405, `method ${method} is not allowed on ${url}, use POST`, { Allow: 'POST' });
  }
  const text = await readBody(request, MAX_BODY_BYTES);
  if (text === undefined) return refusal(413, tooLong(MAX_BODY_BYTES), CLOSE);
  const body = await handler(mapper, text === '' ? {} : parseJson(text), gone);
  return { status: 200, body };
}

async function activate(): Promise<object> {
  return { Implements: ['PortMapper'] };
}

async function mapPorts(mapper: PortMapper, body: unknown, gone: AbortSignal): Promise<object> {
  const bindings = await mapper.mapPorts(decodeMapPorts(body), gone);
  return { PortBindings: bindings.map(encodeBinding), Err: '' };
}

async function unmapPorts(mapper: PortMapper, body: unknown): Promise<object> {
  await mapper.unmapPorts(decodeUnmapPorts(body));
  return { Err: '' };
}

function refusal(status: number, Err: string, headers: Answer['headers'] = {}): Answer {
  return { status, body: { Err }, headers };
}
