/** The environment for processes of ours that run Node. */

/**
 * Most of what a flow or a request leaves behind is soon dead. In spaces of 16 MiB, V8's own choice,
 * that grows to 40 MiB before it is looked at; and each of its four threads that compile and collect
 * keeps memory of its own.
 */
const FRUGAL = ['--max-semi-space-size=1', '--v8-pool-size=1'];

/**
 * Settings for Node.js and its libuv. They are the user's, for programs of the user: a debugger, a
 * preloaded module or a pool of one thread would end our processes or stop them. And to read
 * certificates (NODE_EXTRA_CA_CERTS) takes 40 ms at each start, while none of them speaks TLS.
 */
const OF_NODE = /^(?:NODE|UV)_/;

export function nodeEnvironment(): NodeJS.ProcessEnv {
  return { ...withoutNodeSettings(), NODE_OPTIONS: FRUGAL.join(' ') };
}

/** For short-lived programs of ours, with V8's own choices. */
export function withoutNodeSettings(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !OF_NODE.test(name));
  return Object.fromEntries(entries);
}
