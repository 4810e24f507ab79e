/**
 * node-ipc, set so that it does nothing but use the one unix socket that it is told of: nothing in
 * its common folder, nothing unlinked, nothing printed, nothing tried again. Its network functions
 * are never called. Pinned to 12.0.0: other releases of it were sabotaged.
 */
import { IPCModule } from 'node-ipc';

/** Viewers of one topic at a time. */
const MAX_VIEWERS = 16;

export function createIpc(): IPCModule {
  const ipc = new IPCModule();
  Object.assign(ipc.config, {
    id: 'sluice',
    appspace: '',
    socketRoot: '',
    silent: true,
    unlink: false,
    maxConnections: MAX_VIEWERS,
    retry: 0,
    maxRetries: 0,
    stopRetrying: true,
  });
  return ipc;
}
