/** events: a line for each event, for people or as JSON. */
import { textOf } from '../events/event.js';
import { stampedSchema } from '../events/schema.js';
import { complain } from './report.js';
import { type SocketOptions, socketPathOf } from './socket.js';
import { clock, printable } from './terminal.js';
import { watchTopic } from './watch.js';

interface Options extends SocketOptions {
  readonly json?: true;
}

/** Never resolves: see watchTopic. */
export async function showEvents(options: Options): Promise<never> {
  const api = await socketPathOf(options);
  return watchTopic(api, 'events', {
    onWatching: () => complain(`watching the driver behind ${api}`),
    onMessage(message) {
      process.stdout.write(`${options.json ? JSON.stringify(message) : line(message)}\n`);
    },
    onMissed: (messages) => complain(`${messages} events were missed: this reader is too slow`),
  });
}

function line(message: unknown): string {
  const { success, data } = stampedSchema.safeParse(message);
  // A driver of another version may tell more, which is shown as it came.
  if (!success) return JSON.stringify(message);
  const port = 'port' in data ? ` port ${data.port}` : '';
  return `${clock(data.time)} ${data.type}${port}: ${printable(textOf(data))}`;
}
