/**
 * Publishes ports of a running process's network namespace until Ctrl-C:
 *
 *   node publish.js PID 127.0.0.1:8080:80/tcp...
 *
 * The process must be in a user namespace of yours, such as one of `unshare --user --net`.
 */
import { type ChildContext, ParentDriver, parsePortSpec, SluiceError } from 'sluice';

async function publish(child: ChildContext, texts: readonly string[]): Promise<void> {
  const specs = texts.map((text) => parsePortSpec(text));
  const driver = new ParentDriver({ maxFlows: 10_000 });
  const quit = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => quit.abort());

  let ended = Promise.resolve();
  await new Promise<void>((ready, failed) => {
    ended = driver.runParentDriver(ready, quit.signal, child);
    ended.catch(failed);
  });
  try {
    for (const spec of specs) {
      const { id } = await driver.addPort(spec);
      console.log(`${id} is published on port ${spec.parentPort}`);
    }
  } catch (error) {
    quit.abort();
    await ended;
    throw error;
  }
  await ended;
}

const [pid, ...specs] = process.argv.slice(2);
try {
  await publish({ pid: Number(pid) }, specs);
} catch (error) {
  if (!(error instanceof SluiceError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
