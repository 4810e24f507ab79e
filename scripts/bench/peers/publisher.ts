/** Peers that make the namespace and publish its ports themselves. */
import type { CommandLine } from '../command.js';
import { processTree } from '../processes.js';
import { freePorts, launchServers, waitForEcho } from './launch.js';
import { CHILD_PORTS, type RunningPeer, type Turn } from './peer.js';

/** Makes the tap device's network; no forwarded byte passes through it. */
const NETWORK_DRIVER = 'slirp4netns';

/** `wrapper` gets one `-p SPEC` for each server, then `separator`, then the servers' command. */
export async function startPublisher(
  wrapper: CommandLine,
  separator: readonly string[],
  turn: Turn,
): Promise<RunningPeer> {
  const ports = await freePorts();
  const publish = (['iperf', 'http', 'echo', 'udp'] as const).flatMap((server) => [
    '-p',
    `127.0.0.1:${ports[server]}:${CHILD_PORTS[server]}/${server === 'udp' ? 'udp' : 'tcp'}`,
  ]);
  const { pid, serversPid, stop } = await launchServers(
    [...wrapper, ...publish, ...separator],
    turn,
  );
  try {
    await waitForEcho(ports.echo, turn);
  } catch (error) {
    await stop();
    throw error;
  }
  const forwarders = (): number[] => processTree([pid], [serversPid], [NETWORK_DRIVER]);
  return { ports, enter: [], forwarders, stop };
}
