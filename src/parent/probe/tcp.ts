import { connect } from 'node:net';
import type { Address } from '../../msg/sockaddr.js';
import { CLOSE_WATCH_MS, type Finding, type ProbeOptions, verdictOf } from './result.js';

/** Connects, sends the payload if there is one, and waits for the first bytes or the end. */
export function probeTcp(to: Address, { payload, timeoutMs }: ProbeOptions): Promise<Finding> {
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  const socket = connect({ host: to.ip, port: to.port, noDelay: true });
  return new Promise<Finding>((resolve, reject) => {
    const none = () => resolve({ verdict: 'silent', ms: elapsed() });
    let timer = setTimeout(none, timeoutMs);
    socket.on('connect', () => {
      const connectedMs = elapsed();
      clearTimeout(timer);
      if (payload === undefined) {
        const stillOpen = () => resolve({ verdict: 'connected', ms: connectedMs });
        timer = setTimeout(stillOpen, Math.min(timeoutMs, CLOSE_WATCH_MS));
      } else {
        socket.write(payload);
        timer = setTimeout(() => resolve({ verdict: 'unanswered', ms: elapsed() }), timeoutMs);
      }
    });
    socket.on('data', ({ length }) =>
      resolve({
        verdict: 'answered',
        ms: elapsed(),
        bytes: length,
        from: { ip: to.ip, port: to.port },
      }),
    );
    socket.on('end', () => resolve({ verdict: 'closed', ms: elapsed() }));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const { code: errno = '' } = error;
      const verdict = verdictOf(errno);
      if (verdict === undefined) reject(error);
      else resolve({ verdict, ms: elapsed(), errno });
    });
    socket.on('close', () => clearTimeout(timer));
  }).finally(() => socket.destroy());
}
