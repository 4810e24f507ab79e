import { type RequestOptions, request } from 'node:http';

/** An agent that has stopped is given up after 30 s, and another one started before an answer. */
const TIMEOUT_MS = 60_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One HTTP request on a connection of its own, over TCP or a unix socket (`socketPath`). */
export function ask(options: RequestOptions, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ agent: false, timeout: TIMEOUT_MS, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    sent.once('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    sent.once('error', reject);
    sent.end(body);
  });
}
