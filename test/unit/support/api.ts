import { join } from 'node:path';
import type { Info } from '../../../src/parent/api/info.js';
import { ownInfo } from '../../../src/parent/api/own-info.js';
import { type Api, type ApiOptions, createApi } from '../../../src/parent/api/server.js';
import { type Cleanup, temporaryFolder } from '../../harness/cleanup.js';
import { MemoryManager } from './manager.js';

export interface RunningApi {
  readonly api: Api;
  readonly stateDir: string;
  readonly socketPath: string;
  readonly manager: MemoryManager;
}

/** What rootlesskit's own API tells as well: without the additions of sluice. */
export function plainInfo(stateDir: string): Info {
  return {
    ...ownInfo(stateDir, 4711),
    networkDriver: { driver: 'none' },
    portDriver: { driver: 'sluice', protos: ['tcp'] },
  };
}

/** An API with an empty port table at `api.sock`, of a new folder if none is given. */
export async function startApi(
  cleanup: Cleanup,
  options: Partial<ApiOptions> = {},
  stateDir = temporaryFolder(cleanup),
): Promise<RunningApi> {
  const socketPath = join(stateDir, 'api.sock');
  const manager = new MemoryManager();
  const info = async () => plainInfo(stateDir);
  const api = createApi({ manager, info, ...options });
  await api.listen(socketPath);
  cleanup.defer(() => api.close());
  return { api, stateDir, socketPath, manager };
}
