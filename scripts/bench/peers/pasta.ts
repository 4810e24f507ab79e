import { launchServers, freePorts, waitForEcho } from './launch.js';
import { missingProgram } from './namespace.js';
import { CHILD_PORTS, type Peer, type Ports } from './peer.js';
import { named, processTree } from '../processes.js';

/** It executes the variant for the processor that it finds. */
const NAMES = ['pasta', 'passt', 'passt.avx2'];

export const pasta: Peer = {
  name: 'pasta',
  description: "pasta's own forwarding (-t), in namespaces of its own making",
  version: ['dpkg-query', '--show', 'passt'],
  missing: () => missingProgram('pasta', 'ip'),
  async start(turn) {
    const ports = await freePorts();
    const options = ['--foreground', '--quiet', ...publish(ports)];
    const { pid, stop } = await launchServers(['pasta', ...options, '--'], turn);
    try {
      await waitForEcho(ports.echo, turn);
    } catch (error) {
      await stop();
      throw error;
    }
    const forwarders = (): number[] => {
      const tree = processTree([pid]);
      return NAMES.flatMap((name) => named(tree, name));
    };
    return { ports, enter: [], hidden: true, forwarders, stop };
  },
};

function publish(ports: Ports): string[] {
  const spec = (server: keyof Ports): string => {
    return `127.0.0.1/${ports[server]}:${CHILD_PORTS[server]}`;
  };
  const tcp = (['iperf', 'http', 'echo'] as const).flatMap((server) => ['-t', spec(server)]);
  return [...tcp, '-u', spec('udp')];
}
