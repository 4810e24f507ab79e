/** What was found out, for people. */
import { formatAddress } from '../../msg/sockaddr.js';
import { formatPortSpec } from '../../msg/spec.js';
import { type Finding, FORBIDDEN, type ProbeOptions, type ProbeResult } from './result.js';
import type { Dialled, Origin, View } from './view.js';

const ORIGINS: Record<Origin, string> = {
  rule: "by the engine's rule",
  'docker-proxy': 'by docker-proxy',
  port: 'as the port says',
};

/** The first line is the host's view, the others are indented. */
export function describe(view: View, options: ProbeOptions): string {
  const { published, inside = [], reason } = view;
  const lines = [describeHost(view, options)];
  if (published !== undefined) {
    lines.push(`  published: ${formatPortSpec(published.spec)}, ID ${published.id}`);
  }
  lines.push(...inside.map((dialled) => `  inside: ${describeInside(dialled)}`));
  if (reason !== undefined) lines.push(`  reason: ${reason.text}`, `  remedy: ${reason.remedy}`);
  return lines.join('\n');
}

function describeInside(dialled: Dialled): string {
  const { origin, within, verdict, transport, owner } = dialled;
  const notes = [`${formatAddress(dialled)}, ${ORIGINS[origin]}: ${brief(dialled)}`];
  if (within !== undefined) notes.push(`from the container itself: ${brief(within)}`);
  if (transport === 'udp' && verdict === 'silent' && owner.bound.length > 0) {
    notes.push('a socket is bound there; a server that only listens answers nothing');
  }
  return notes.join('; ');
}

function brief({ verdict, errno, ms }: Finding): string {
  const why = errno === undefined ? '' : ` (${errno})`;
  return `${verdict}${why} after ${ms.toFixed(1)} ms`;
}

/** One line, as its client sees it. */
function describeHost(result: ProbeResult, { payload, timeoutMs }: ProbeOptions): string {
  const where = `${formatAddress(result)}/${result.transport}`;
  const sent = payload === undefined ? 'a DNS query' : `${payload.length} bytes`;
  return `${where}: ${explain(result, sent, timeoutMs)}`;
}

function explain(result: ProbeResult, sent: string, timeoutMs: number): string {
  const { verdict, bytes, from, errno = '', transport } = result;
  const after = `after ${result.ms.toFixed(1)} ms`;
  const answer = from === undefined ? '' : `${bytes} bytes from ${formatAddress(from)} ${after}`;
  switch (verdict) {
    case 'answered':
      return `answered, ${answer}`;
    case 'connected':
      return `connected ${after}, and still open`;
    case 'unanswered':
      return `connected, but no answer to ${sent} within ${timeoutMs} ms`;
    case 'closed':
    case 'reset':
      return `connected, but ${verdict} by the other side ${after} without a byte: a server that ends at once, or a forwarder that found none behind it`;
    case 'refused':
      return `refused ${after}: the host is there, but nothing listens on that port`;
    case 'astray':
      return `answered from the wrong address, ${answer}: clients drop such an answer; whoever sent it must answer from the address that was asked`;
    case 'unreachable':
      return `unreachable (${errno}): ${FORBIDDEN.includes(errno) ? 'a firewall forbids it' : 'no route leads there, or the next hop is down'}`;
    case 'silent':
      return transport === 'udp'
        ? `no answer to ${sent} within ${timeoutMs} ms, which proves nothing: a server may have none for that, or a firewall drops it; send what it knows with --text, --hex or --file`
        : `no answer within ${timeoutMs} ms: the host is down, or a firewall drops what is sent to it`;
    default:
      return verdict satisfies never;
  }
}
