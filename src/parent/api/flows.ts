/** The body of `GET /v1/ports/{id}/flows`, an addition of sluice; its keys are those of docs/json.md. */
import * as z from 'zod';
import { FLOW_STATES } from '../../msg/flows.js';
import type { PortFlows } from '../snapshot.js';
import { count } from './count.js';

const address = z.object({ ip: z.string(), port: z.int().min(0).max(65535) });

const flowSchema = z.object({
  agent: count,
  id: count,
  client: address,
  server: address.exactOptional(),
  state: z.enum(FLOW_STATES),
  ageMs: count,
  idleMs: count,
  bytesIn: count,
  bytesOut: count,
  packetsIn: count,
  packetsOut: count,
});

export const flowsSchema = z.object({
  total: count,
  flows: z.array(flowSchema),
}) satisfies z.ZodType<PortFlows>;
