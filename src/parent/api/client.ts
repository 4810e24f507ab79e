/** A client of any RootlessKit API on a unix socket: ours, or rootlesskit's own. */
import * as z from 'zod';
import { type Manager, PROTOS } from '../../msg/port.js';
import type { Topic } from '../bus/topics.js';
import type { PortFlows } from '../snapshot.js';
import { flowsSchema } from './flows.js';
import { type Info, infoSchema } from './info.js';
import { ask, foreign } from './request.js';

/** What a server of another make accepted is taken as it is: only the types are checked. */
export const statusSchema = z.object({
  id: z.int(),
  spec: z.object({
    proto: z.enum(PROTOS),
    parentIP: z.string().exactOptional(),
    parentPort: z.int(),
    childPort: z.int(),
    childIP: z.string().exactOptional(),
  }),
});
/** rootlesskit answers `null` where there is no port. */
const statusesSchema = z.array(statusSchema).nullable();
const topicSchema = z.object({ socket: z.string() });

export interface ApiClient extends Manager {
  info(): Promise<Info>;
  /** Ours only: resolves when the driver is about to replace itself. */
  reload(drainLimitMs: number): Promise<void>;
  /**
   * Ours only: the flows of that port. Of more than an answer takes, those that have moved the most
   * bytes.
   */
  flows(id: number): Promise<PortFlows>;
  /** Where sluice publishes that topic of its bus; any other driver answers ERR_API_FOREIGN. */
  topicSocket(topic: Topic): Promise<string>;
}

/**
 * A client of the API at a unix socket; each call has `timeoutMs` milliseconds, 60,000 by default.
 * Every rejection is a SluiceError: ERR_API with the server's own message when it refused, else
 * ERR_API_UNREACHABLE, ERR_API_TIMEOUT or ERR_API_FOREIGN.
 */
export function createApiClient(socketPath: string, timeoutMs?: number): ApiClient {
  const call = async <T>(
    schema: z.ZodType<T>,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<T> => {
    const answer = await ask({ socketPath, method, path, body, timeoutMs });
    const result = schema.safeParse(answer.body);
    if (!result.success) throw foreign(answer);
    return result.data;
  };
  return {
    info: () => call(infoSchema, 'GET', '/v1/info'),
    listPorts: async () => (await call(statusesSchema, 'GET', '/v1/ports')) ?? [],
    addPort: (spec) => call(statusSchema, 'POST', '/v1/ports', spec),
    reload: async (drainLimitMs) => {
      await call(z.unknown(), 'POST', '/v1/reload', { drainLimitMs });
    },
    removePort: async (id) => {
      await call(z.unknown(), 'DELETE', `/v1/ports/${id}`);
    },
    flows: (id) => call(flowsSchema, 'GET', `/v1/ports/${id}/flows`),
    topicSocket: async (topic) => (await call(topicSchema, 'GET', `/v1/bus/${topic}`)).socket,
  };
}
