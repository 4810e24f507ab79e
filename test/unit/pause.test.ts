import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { pause } from '../../src/parent/pause.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

test('a pause ends although garbage is collected meanwhile', async () => {
  const paused = pause(50, new AbortController().signal);
  // Later than the last turn of the event loop that may hold on to something.
  const timers = [10, 20, 30].map((ms) => setTimeout(collectGarbage, ms));
  await expect(paused).resolves.toBeUndefined();
  timers.forEach(clearTimeout);
});

test('a pause ends when its signal is aborted, before it and meanwhile', async () => {
  const over = new AbortController();
  const pauses = [pause(1e9, AbortSignal.abort()), pause(1e9, over.signal)];
  over.abort();
  await expect(Promise.all(pauses)).resolves.toBeDefined();
});
