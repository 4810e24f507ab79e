/** What happens in a running driver, for its log, for `sluice events` and for whoever embeds it. */
import { messageOf, SluiceError } from '../../msg/errors.js';
import type { AbortReason } from '../../msg/aborts.js';
import type { SourceLoss } from '../../msg/source-address.js';
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
  sourceLost: 'warn',
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

/** Why a server does not see its client, and a remedy. */
const SOURCE_LOSS_TEXTS: Readonly<Record<SourceLoss, string>> = {
  disabled: 'client addresses are switched off, or not possible in this namespace: sluice info',
  loopback: "packets from the host's loopback can't leave it; ask another address of the host",
  family: 'client and server speak different IP versions; give the container IPv6 as well',
  overlap: "the client's address lies in the container's own network; give that another range",
  local: 'the server is a process of the namespace itself; run it in a container',
  unreturned: "replies to clients' addresses don't come back",
  refused: "the kernel refused the client's address",
};

/** These hold for a whole driver and are seen in `sluice info`; curl on the host shows them daily. */
const EVERYDAY_LOSSES: readonly SourceLoss[] = ['disabled', 'loopback', 'local'];

export function levelOf(event: DriverEvent): Level {
  const isEveryday =
    event.type === 'sourceLost' && !event.isRefused && EVERYDAY_LOSSES.includes(event.loss);
  return isEveryday ? 'info' : EVENT_LEVELS[event.type];
}

/** One line for people. */
export function textOf(event: DriverEvent): string {
  switch (event.type) {
    case 'portAdded':
      return `published ${formatPortSpec(event.spec)}`;
    case 'portRemoved':
      return `no longer publishes ${formatPortSpec(event.spec)}`;
    case 'flowRefused':
      return `no server took ${event.flows} flows to ${formatPortSpec(event.spec)}, the last one from ${event.client}`;
    case 'sourceLost':
      return sourceLossText(event);
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

function sourceLossText(event: Extract<DriverEvent, { type: 'sourceLost' }>): string {
  const { spec, client, server, loss, isRefused, detail } = event;
  const what = isRefused
    ? `refused a client of ${formatPortSpec(spec)}, ${client}, since its address can't be kept`
    : `${server} sees a client of ${formatPortSpec(spec)}, ${client}, under an address of the namespace`;
  const more = detail === undefined ? '' : `: ${detail}`;
  return `${what}: ${SOURCE_LOSS_TEXTS[loss]}${more}`;
}

function pauseText({ pauseMs }: { readonly pauseMs: number }): string {
  return pauseMs === 0 ? '' : ` in ${pauseMs} ms`;
}
