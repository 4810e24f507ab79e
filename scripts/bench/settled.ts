import { setTimeout as sleep } from 'node:timers/promises';
import { createApiClient } from '../../src/parent/api/client.js';
import { waitFor } from './command.js';

const SETTLED_MS = 30_000;
/** What nobody waits for is done a second after the start. */
const REST_MS = 2000;

/** A driver of ours starts its spare agent when it is ready: until then it still grows. */
export async function settled(apiSocket: string, signal?: AbortSignal): Promise<void> {
  const api = createApiClient(apiSocket);
  const hasSpare = async (): Promise<true | undefined> => {
    const agents = (await api.info()).portDriver?.agents?.running ?? [];
    return agents.some(({ state }) => state === 'spare') || undefined;
  };
  await waitFor('all processes that it will have', SETTLED_MS, hasSpare, signal);
  await sleep(REST_MS, undefined, { signal });
}
