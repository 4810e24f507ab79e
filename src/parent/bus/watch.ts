/** The viewer's end of the bus. */
import { SluiceError } from '../../msg/errors.js';
import { createIpc } from './ipc.js';
import { MESSAGE, MISSED } from './messages.js';

const DRIVER = 'driver';

export interface Viewer {
  onWatching(): void;
  onMessage(message: unknown): void;
  /** So many messages were not sent, because this viewer was too slow. */
  onMissed(messages: number): void;
}

/**
 * Tells `viewer` every message published on that socket. Resolves when the driver has ended.
 *
 * @throws SluiceError ERR_BUS when nobody publishes there
 */
export function watch(path: string, viewer: Viewer): Promise<void> {
  const ipc = createIpc();
  ipc.connectTo(DRIVER, path);
  const driver = ipc.of[DRIVER];
  return new Promise((resolve, reject) => {
    driver?.on('connect', () => viewer.onWatching());
    driver?.on(MESSAGE, (message) => viewer.onMessage(message));
    driver?.on(MISSED, (data) => viewer.onMissed((data as { messages: number }).messages));
    driver?.on('error', (error) => {
      reject(new SluiceError('ERR_BUS', `cannot watch ${path}`, { cause: error }));
    });
    driver?.on('disconnect', () => resolve());
  });
}
