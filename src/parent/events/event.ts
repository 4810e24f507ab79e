/** What happens in a running driver, for its log, for `sluice events` and for whoever embeds it. */
import { messageOf, SluiceError } from '../../msg/errors.js';
import type { AbortReason } from '../../msg/aborts.js';
import { LARGEST_MESSAGE_BYTES } from '../../msg/sctp.js';
import { formatPortSpec } from '../../msg/spec.js';
import { shedReport } from '../shed-report.js';
import type { DriverEvent } from './schema.js';

export type { DriverEvent };

export type EventSink = (event: DriverEvent) => void;

export type Level = 'error' | 'warn' | 'info' | 'debug';

/** What everybody should know of is a warning, what is part of a healthy day is not. */
export const EVENT_LEVELS: Readonly<Record<DriverEvent['type'], Level>> = {
  portAdded: 'info',
  portRemoved: 'info',
  flowRefused: 'info',
  flowAborted: 'warn',
  agentReplaced: 'warn',
  driverResumed: 'info',
  driverEnded: 'warn',
  limitHit: 'warn',
  problem: 'warn',
};

const ABORTS: Readonly<Record<AbortReason, string>> = {
  oversized:
    `a message was larger than ${LARGEST_MESSAGE_BYTES / 1024} KiB, or than twice ` +
    'net.core.wmem_max; raise that with sysctl if it is the lower one',
  stream: 'a message came on a stream that the other side did not agree to',
  memory: 'messages that wait for slow receivers take too much memory',
};

/** One line for people. */
export function textOf(event: DriverEvent): string {
  switch (event.type) {
    case 'portAdded':
      return `published ${formatPortSpec(event.spec)}`;
    case 'portRemoved':
      return `no longer publishes ${formatPortSpec(event.spec)}`;
    case 'flowRefused':
      return `no server took ${event.flows} flows to ${formatPortSpec(event.spec)}, the last one from ${event.client}`;
    case 'flowAborted':
      return `${event.flows} SCTP associations to ${formatPortSpec(event.spec)} were aborted: ${ABORTS[event.reason]}`;
    case 'agentReplaced':
      return `${event.reason}; starting another${pauseText(event)}`;
    case 'driverResumed':
      return `${event.isReload ? 'the installed version took over' : 'took over'} ${event.ports} ports`;
    case 'driverEnded':
      return `the port driver ended ${event.reason}; its ports stay open; starting it again${pauseText(event)}`;
    case 'limitHit':
      return shedReport(event.flows);
    case 'problem':
      return event.reason;
    default:
      return event satisfies never;
  }
}

/** What failed, after a few words on what it was for. */
export function problem(error: unknown, what = ''): DriverEvent {
  const code = error instanceof SluiceError ? error.code : 'ERR_DRIVER';
  return { type: 'problem', code, reason: what + messageOf(error) };
}

function pauseText({ pauseMs }: { readonly pauseMs: number }): string {
  return pauseMs === 0 ? '' : ` in ${pauseMs} ms`;
}
