/**
 * The body of `GET /v1/info`. Shape and key order: RootlessKit's API 1.1.1, as rootlesskit 1.1.0 and
 * 2.0.2 answer it. They leave out what is empty or false (`dns`, `childIP`, `dynamicChildIP`,
 * `disallowLoopbackChildIP`), and the whole of a driver that is not there. Keys that later versions
 * add are passed on.
 */
import * as z from 'zod';

const networkDriverSchema = z.looseObject({
  driver: z.string(),
  dns: z.array(z.string()).nullable().exactOptional(),
  /** The tap device's address. */
  childIP: z.string().exactOptional(),
  dynamicChildIP: z.boolean().exactOptional(),
});

const portDriverSchema = z.looseObject({
  driver: z.string(),
  protos: z.array(z.string()).nullable(),
  disallowLoopbackChildIP: z.boolean().exactOptional(),
  sourceIP: z
    .looseObject({
      policy: z.enum(['keep', 'require', 'off']).exactOptional(),
      protos: z.record(
        z.string(),
        z.looseObject({
          kept: z.boolean(),
          reason: z.string().exactOptional(),
          except: z.string().exactOptional(),
        }),
      ),
      flows: z.looseObject({
        kept: z.number(),
        without: z.record(z.string(), z.number()),
        refused: z.number().exactOptional(),
      }),
    })
    .exactOptional(),
  agents: z
    .looseObject({
      running: z.array(
        z.looseObject({
          pid: z.int(),
          state: z.enum(['serving', 'draining', 'spare']),
          since: z.string(),
        }),
      ),
      restarts: z.int(),
      lastEnd: z.string().exactOptional(),
    })
    .exactOptional(),
});

export const infoSchema = z.looseObject({
  apiVersion: z.string(),
  version: z.string(),
  stateDir: z.string(),
  childPID: z.int(),
  networkDriver: networkDriverSchema.exactOptional(),
  portDriver: portDriverSchema.exactOptional(),
});

export type Info = z.infer<typeof infoSchema>;
