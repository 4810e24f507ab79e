/**
 * What happens in a running driver, for its log, for `sluice events` and for whoever embeds it. The
 * keys of these schemas are those of the JSON: documented in docs/events.md.
 */
import * as z from 'zod';
import { messageOf, SluiceError } from '../../msg/errors.js';
import { ABORT_REASONS, type AbortReason } from '../../msg/aborts.js';
import { SHED_REASONS } from '../../msg/overload.js';
import { PROTOS } from '../../msg/port.js';
import { LARGEST_MESSAGE_BYTES } from '../../msg/sctp.js';
import { formatPortSpec } from '../../msg/spec.js';
import { shedReport } from '../shed-report.js';

const specSchema = z.object({
  proto: z.enum(PROTOS),
  parentIP: z.string().exactOptional(),
  parentPort: z.int(),
  childPort: z.int(),
  childIP: z.string().exactOptional(),
});

/** `port` is the id of a published port. */
export const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('portAdded'), port: z.int(), spec: specSchema }),
  z.object({ type: z.literal('portRemoved'), port: z.int(), spec: specSchema }),
  /** At most once a second for a port: flows that no server took, and the last one's client. */
  z.object({
    type: z.literal('flowRefused'),
    port: z.int(),
    spec: specSchema,
    flows: z.int(),
    client: z.string(),
  }),
  /** At most once a minute for a reason: SCTP associations that could not be forwarded as they were. */
  z.object({
    type: z.literal('flowAborted'),
    port: z.int(),
    spec: specSchema,
    flows: z.int(),
    reason: z.enum(ABORT_REASONS),
  }),
  /** `pauseMs` from now another agent is started. */
  z.object({ type: z.literal('agentReplaced'), reason: z.string(), pauseMs: z.int() }),
  /** Goes on with `ports` of an earlier driver: after its end, or in its place (`isReload`). */
  z.object({ type: z.literal('driverResumed'), ports: z.int(), isReload: z.boolean() }),
  /** The launcher's: no driver is there to tell it to viewers. */
  z.object({ type: z.literal('driverEnded'), reason: z.string(), pauseMs: z.int() }),
  /** At most once a second: new flows that were shed, by reason. */
  z.object({ type: z.literal('limitHit'), flows: z.partialRecord(z.enum(SHED_REASONS), z.int()) }),
  /** Something goes without a feature, or did not work, and ports are served all the same. */
  z.object({ type: z.literal('problem'), code: z.string(), reason: z.string() }),
]);

/** As viewers get them. */
export const stampedSchema = eventSchema.and(z.object({ time: z.iso.datetime() }));

export type DriverEvent = z.infer<typeof eventSchema>;
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
