/** A namespace whose ports `sluice run` publishes on the host, for any number of programs. */
import type { Cleanup } from './cleanup.js';
import { type Namespace, enter } from './namespaces.js';
import { start } from './processes.js';
import { sluice } from './sluice.js';

/** Three starts of Node, which take a minute on an emulated processor. */
const READY_MS = 120_000;

/** With a /run of its own, where daemons put their sockets. */
const STAY = 'mount -t tmpfs tmpfs /run && echo "inside $$" && exec sleep infinity';

/** Publishes `specs` in `host`; the user is root of the namespace behind them. */
export async function publish(
  cleanup: Cleanup,
  host: Namespace,
  specs: readonly string[],
): Promise<Namespace> {
  const options = specs.flatMap((spec) => ['-p', spec]);
  const stay = ['unshare', '--mount', 'sh', '-c', STAY];
  const program = await start(cleanup, enter(host, ...sluice('run', ...options, '--', ...stay)));
  const [, pid] = await program.line(/^inside (\d+)$/m, READY_MS);
  return { pid: Number(pid) };
}
