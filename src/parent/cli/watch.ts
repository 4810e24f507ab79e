import { SluiceError } from '../../msg/errors.js';
import { createApiClient } from '../api/client.js';
import type { Topic } from '../bus/topics.js';
import { type Viewer, watch } from '../bus/watch.js';

/**
 * Tells `viewer` of a topic of the driver behind that API. Never resolves: the driver's end is that
 * of a stream before its time.
 *
 * @throws SluiceError ERR_NOT_SLUICE, ERR_DRIVER_ENDED, or as the API's client
 */
export async function watchTopic(api: string, topic: Topic, viewer: Viewer): Promise<never> {
  const client = createApiClient(api);
  const driver = (await client.info()).portDriver?.driver ?? 'none';
  if (driver !== 'sluice') {
    throw new SluiceError(
      'ERR_NOT_SLUICE',
      `the port driver behind ${api} is "${driver}", which can't be watched; sluice attach takes its ports over`,
    );
  }
  await watch(await client.topicSocket(topic), viewer);
  throw new SluiceError('ERR_DRIVER_ENDED', `the driver behind ${api} has ended`);
}
