/** What the bus tells once a second. The keys are those of `--json`: documented in docs/top.md. */
import * as z from 'zod';
import { count } from '../../api/count.js';

const counts = z.record(z.string(), count);

const portStatsSchema = z.object({
  id: count,
  flows: count,
  accepted: count,
  refused: count,
  shed: count,
  bytesIn: count,
  bytesOut: count,
  packetsIn: count,
  packetsOut: count,
  drops: counts,
  connects: z.array(count),
  connectMicros: count,
});

export const stateSchema = z.object({
  time: z.iso.datetime(),
  ports: z.array(
    z.object({
      id: count,
      spec: z.object({
        proto: z.string(),
        parentIP: z.string().exactOptional(),
        parentPort: z.int(),
        childIP: z.string().exactOptional(),
        childPort: z.int(),
      }),
      server: z.object({ ip: z.string(), port: z.int() }).exactOptional(),
      stats: portStatsSchema.exactOptional(),
    }),
  ),
  agents: z.array(
    z.object({
      pid: count,
      state: z.enum(['serving', 'draining', 'spare']),
      since: z.iso.datetime(),
      cpuSeconds: z.number(),
      residentBytes: count,
    }),
  ),
  agentRestarts: count,
  pipes: count,
  sourceIP: z.object({
    policy: z.enum(['keep', 'require', 'off']),
    protos: z.record(
      z.string(),
      z.object({ kept: z.boolean(), reason: z.string().exactOptional() }),
    ),
    flows: z.object({ kept: count, without: counts, refused: count }),
  }),
  transports: z.record(
    z.string(),
    z.object({
      flows: count,
      accepted: count,
      refused: count,
      shed: count,
      sourceKept: count,
      sourceLost: counts,
      sourceRefused: count,
      drops: counts,
    }),
  ),
});

export type State = z.infer<typeof stateSchema>;
