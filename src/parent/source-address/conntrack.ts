/**
 * How long the kernel remembers an idle UDP exchange. The mark that brings a container's datagram
 * back to the agent is kept there, so it must not be forgotten before the agent's session is.
 */

import type { UdpTimeouts } from '../../msg/udp-timeouts.js';
import type { Tools } from './tools.js';

/** nf_conntrack-sysctl.rst: both in seconds, of this network namespace. */
const FILES = [
  '/proc/sys/net/netfilter/nf_conntrack_udp_timeout',
  '/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream',
] as const;

/** Both clocks start with the last datagram; ours has to be the first to run out. */
const MARGIN_S = 10;

/**
 * Raises what is shorter than the sessions' time limits; an exchange counts as a stream only after
 * two seconds, so both must be long enough. Returns how to undo it. Never rejects: without the files
 * there is no conntrack, and no mark either.
 */
export async function extendConntrack(
  tools: Tools,
  { unrepliedMs, repliedMs }: UdpTimeouts,
): Promise<() => Promise<void>> {
  const wanted = Math.ceil(Math.max(unrepliedMs, repliedMs) / 1000) + MARGIN_S;
  const values = (await tools.run('cat', FILES)).stdout.split('\n').map(Number);
  const before = FILES.map((file, index) => ({ file, value: values[index] ?? 0 })).filter(
    ({ value }) => value > 0 && value < wanted,
  );
  if (before.length === 0) return async () => {};
  const files = before.map(({ file }) => file);
  await tools.run('tee', files, { input: String(wanted) });
  return async () => {
    for (const { file, value } of before) await tools.run('tee', [file], { input: String(value) });
  };
}
