import type { CommandLine } from '../command.js';
import { processTree } from '../processes.js';
import { end, freePorts, spawnLogged, waitForEcho } from './launch.js';
import { launchNamespace, missingProgram } from './namespace.js';
import { CHILD_PORTS, type Peer } from './peer.js';

/** After the namespace was entered: changing credentials clears it (prctl(2)). */
const ENDS_WITH_US: CommandLine = ['setpriv', '--pdeathsig', 'KILL', '--'];
const BACKLOG = 'backlog=4096';

/**
 * One socat on the host and one in the namespace for each port, joined by a unix socket, both
 * forking for each connection. Entering the namespace for each connection would be slower still.
 */
export const socat: Peer = {
  name: 'socat',
  description: 'two forking socats for each port, joined by a unix socket',
  version: ['socat', '-V'],
  missing: () => missingProgram('socat', 'unshare', 'nsenter', 'ip'),
  async start(turn) {
    const namespace = await launchNamespace(turn);
    const ports = await freePorts();
    const listeners = (['iperf', 'http', 'echo'] as const).flatMap((server) => {
      const path = `${turn.folder}/${server}.sock`;
      const inner = [
        `UNIX-LISTEN:${path},fork,${BACKLOG}`,
        `TCP:127.0.0.1:${CHILD_PORTS[server]},nodelay`,
      ];
      const outer = [
        `TCP-LISTEN:${ports[server]},bind=127.0.0.1,fork,reuseaddr,nodelay,${BACKLOG}`,
        `UNIX-CONNECT:${path}`,
      ];
      return [
        spawnLogged([...namespace.enter, ...ENDS_WITH_US, 'socat', ...inner], turn),
        spawnLogged([...ENDS_WITH_US, 'socat', ...outer], turn),
      ];
    });
    const roots = listeners.flatMap((listener) => listener.pid ?? []);
    const stop = async (): Promise<void> => {
      const tree = processTree(roots);
      await namespace.stop();
      await end(tree, 0);
    };
    try {
      await waitForEcho(ports.echo, turn);
    } catch (error) {
      await stop();
      throw error;
    }
    return { ports, enter: [], forwarders: () => processTree(roots), stop };
  },
};
