/** The keys of these schemas are those of the JSON: documented in docs/events.md. */
import * as z from 'zod';
import { ABORT_REASONS } from '../../msg/aborts.js';
import { SHED_REASONS } from '../../msg/overload.js';
import { PROTOS } from '../../msg/port.js';
import { SOURCE_LOSSES } from '../../msg/source-address.js';

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
  /**
   * Once for each port, reason and outcome: a flow of `client` that `server` sees under an address of
   * the namespace, or that was refused instead.
   */
  z.object({
    type: z.literal('sourceLost'),
    port: z.int(),
    spec: specSchema,
    loss: z.enum(SOURCE_LOSSES),
    isRefused: z.boolean(),
    client: z.string(),
    server: z.string(),
    detail: z.string().exactOptional(),
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
