import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../../msg/errors.js';
import { type ApiClient, createApiClient } from '../api/client.js';
import type { Topic } from '../bus/topics.js';
import { type Viewer, watch } from '../bus/watch.js';

/** A driver that was killed, or reloads, is back within less. */
const AWAY_MS = 3000;
const POLL_INTERVAL_MS = 100;

/**
 * A client of that API, if sluice serves it.
 *
 * @throws SluiceError ERR_NOT_SLUICE, or as the API's client
 */
export async function sluiceClient(api: string): Promise<ApiClient> {
  const client = createApiClient(api);
  const driver = (await client.info()).portDriver?.driver ?? 'none';
  if (driver === 'sluice') return client;
  throw new SluiceError(
    'ERR_NOT_SLUICE',
    `the port driver behind ${api} is "${driver}", which can't be watched; sluice attach takes its ports over`,
  );
}

/**
 * Tells `viewer` of a topic of the driver behind that API, and of the one that takes its place. Never
 * resolves: the driver's end is that of a stream before its time.
 *
 * @throws SluiceError ERR_NOT_SLUICE, ERR_DRIVER_ENDED, or as the API's client
 */
export async function watchTopic(api: string, topic: Topic, viewer: Viewer): Promise<never> {
  const client = await sluiceClient(api);
  for (;;) {
    const socket = await topicSocket(client, topic);
    if (socket === undefined) break;
    await watch(socket, viewer);
  }
  throw new SluiceError('ERR_DRIVER_ENDED', `the driver behind ${api} has ended`);
}

/** Undefined when nobody answers any more. */
async function topicSocket(client: ApiClient, topic: Topic): Promise<string | undefined> {
  const deadline = performance.now() + AWAY_MS;
  for (;;) {
    try {
      return await client.topicSocket(topic);
    } catch (error) {
      if (!(error instanceof SluiceError) || error.code !== 'ERR_API_UNREACHABLE') throw error;
      if (performance.now() > deadline) return undefined;
      await sleep(POLL_INTERVAL_MS);
    }
  }
}
