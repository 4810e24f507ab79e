/** The environment for processes of ours that run Node. */

/**
 * Most of what a flow or a request leaves behind is soon dead. In spaces of 16 MiB, V8's own choice,
 * that grows to 40 MiB before it is looked at; and each of its four threads that compile and collect
 * keeps memory of its own.
 */
const FRUGAL = ['--max-semi-space-size=1', '--v8-pool-size=1'];

/**
 * Without certificates, which Node reads at its start where it is told to: that takes 40 ms for a
 * system's usual ones, and no process of ours speaks TLS.
 */
export function nodeEnvironment(): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: given = '', ...env } = process.env;
  return { ...env, NODE_OPTIONS: [given, ...FRUGAL].join(' ').trim() };
}
