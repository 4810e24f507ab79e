/** Where a driver tells what happens and how it stands: the log, the bus, whoever embeds it. */
import { dirname } from 'node:path';
import { Bus } from './bus/bus.js';
import type { EventSink } from './events/event.js';
import { Log } from './log/log.js';
import { Pulse } from './pulse.js';
import type { ServeOptions } from './serve.js';
import type { Snapshot } from './snapshot.js';

export interface Outlets {
  readonly bus: Bus;
  readonly onEvent: EventSink;
  readonly close: () => Promise<void>;
}

export function openOutlets(options: ServeOptions, takeSnapshot: () => Promise<Snapshot>): Outlets {
  const log = new Log(options.log);
  const pulse = new Pulse(async () => {
    const time = new Date().toISOString();
    bus.publish('state', { time, ...(await takeSnapshot()) });
  });
  const bus: Bus = new Bus(dirname(options.apiSocket), (topic, viewers) => {
    if (topic === 'state') pulse.isWanted = viewers > 0;
  });
  return {
    bus,
    onEvent(event) {
      log.event(event);
      bus.publish('events', { time: new Date().toISOString(), ...event });
      options.driver?.onEvent?.(event);
    },
    async close() {
      pulse.isWanted = false;
      log.flush();
      await bus.close();
    },
  };
}
