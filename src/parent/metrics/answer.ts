/** A scrape's answer. prom-client is loaded with the first one. */
import type { IncomingMessage } from 'node:http';
import { messageOf } from '../../msg/errors.js';
import type { Answer } from '../api/exchange.js';
import type { Snapshot } from '../snapshot.js';
import { familiesOf } from './families.js';

/** Never rejects: whatever goes wrong becomes an answer. */
export async function metricsAnswer(takeSnapshot: () => Promise<Snapshot>): Promise<Answer> {
  try {
    const { CONTENT_TYPE, metricsText } = await import('./text.js');
    const text = await metricsText(familiesOf(await takeSnapshot()));
    return { status: 200, text, headers: { 'Content-Type': CONTENT_TYPE } };
  } catch (error) {
    return { status: 500, body: { message: messageOf(error) } };
  }
}

/** The same for a server that has nothing else. */
export function metricsOnly(
  takeSnapshot: () => Promise<Snapshot>,
): (request: IncomingMessage) => Promise<Answer> {
  return async ({ method = '', url = '' }) => {
    const [path = ''] = url.split('?', 1);
    if (path !== '/metrics') {
      return { status: 404, body: { message: `unknown path ${path}, this serves /metrics` } };
    }
    if (method !== 'GET') {
      const message = `method ${method} is not allowed on ${path}, use GET`;
      return { status: 405, body: { message }, headers: { Allow: 'GET' } };
    }
    return metricsAnswer(takeSnapshot);
  };
}
