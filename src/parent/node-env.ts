/** The environment for processes of ours that run Node. */

/** V8's own choice is four threads that compile and collect, and each keeps memory of its own. */
const ONE_THREAD = '--v8-pool-size=1';

/**
 * With `options` for Node. Without certificates, which it reads at its start where it is told to:
 * that takes 40 ms for a system's usual ones, and no process of ours speaks TLS.
 */
export function nodeEnvironment(...options: readonly string[]): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: given = '', ...env } = process.env;
  return { ...env, NODE_OPTIONS: [given, ONE_THREAD, ...options].join(' ').trim() };
}
