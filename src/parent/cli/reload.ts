/** reload: the driver and its agents are replaced by the installed version. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SluiceError } from '../../msg/errors.js';
import { createApiClient } from '../api/client.js';
import { type SocketOptions, socketPathOf } from './socket.js';

interface Options extends SocketOptions {
  readonly drainLimit: string;
}

/** An agent and its driver start within less, unless the machine has stopped. */
const DEADLINE_MS = 60_000;
const POLL_INTERVAL_MS = 50;
const MAX_DRAIN_S = 7 * 24 * 3600;

export async function reload(options: Options): Promise<void> {
  const seconds = Number(options.drainLimit);
  if (!/^\d+$/.test(options.drainLimit) || seconds > MAX_DRAIN_S) {
    throw new SluiceError(
      'ERR_USAGE',
      `--drain-limit is "${options.drainLimit}", expected seconds from 0 to ${MAX_DRAIN_S}`,
    );
  }
  const client = createApiClient(await socketPathOf(options));
  const agents = async () => (await client.info()).portDriver?.agents?.running ?? [];
  const before = new Set((await agents()).map(({ pid }) => pid));
  await client.reload(seconds * 1000);
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    // The API is away for a moment.
    const running = await agents().catch(() => []);
    const serving = running.filter(({ pid, state }) => state === 'serving' && !before.has(pid));
    if (serving.length > 0) {
      const draining = running.filter(({ state }) => state === 'draining').length;
      const pids = serving.map(({ pid }) => pid).join(', ');
      const who = serving.length === 1 ? `agent ${pids} serves` : `agents ${pids} serve`;
      process.stdout.write(`${who}, ${draining} finishing their flows\n`);
      return;
    }
    await sleep(POLL_INTERVAL_MS);
  }
  throw new SluiceError(
    'ERR_RELOAD',
    `no new agent within ${DEADLINE_MS} ms; what the driver writes to its stderr says why`,
  );
}
