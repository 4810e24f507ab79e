import type { CommandLine } from '../command.js';
import { processTree } from '../processes.js';
import { end, freePorts, spawnLogged, waitForEcho } from './launch.js';
import { launchNamespace, missingProgram } from './namespace.js';
import { CHILD_PORTS, type Peer } from './peer.js';

/** After the namespace was entered: changing credentials clears it (prctl(2)). */
const ENDS_WITH_US: CommandLine = ['setpriv', '--pdeathsig', 'KILL', '--'];
const BACKLOG = 'backlog=4096';
/** SOCK_SEQPACKET, which keeps datagrams apart. */
const PACKETS = 'type=5';

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
    const listeners = [
      ...(['iperf', 'http', 'echo'] as const).map((server) => ({
        path: `${turn.folder}/${server}.sock`,
        inner: [BACKLOG, `TCP:127.0.0.1:${CHILD_PORTS[server]},nodelay`],
        outer: `TCP-LISTEN:${ports[server]},bind=127.0.0.1,fork,reuseaddr,nodelay,${BACKLOG}`,
      })),
      {
        path: `${turn.folder}/udp.sock`,
        inner: [PACKETS, `UDP:127.0.0.1:${CHILD_PORTS.udp}`],
        outer: `UDP-LISTEN:${ports.udp},bind=127.0.0.1,fork,reuseaddr`,
      },
    ].flatMap(({ path, inner: [option, to = ''], outer }) => [
      spawnLogged(
        [...namespace.enter, ...ENDS_WITH_US, 'socat', `UNIX-LISTEN:${path},fork,${option}`, to],
        turn,
      ),
      spawnLogged(
        [
          ...ENDS_WITH_US,
          'socat',
          outer,
          `UNIX-CONNECT:${path}${option === PACKETS ? `,${PACKETS}` : ''}`,
        ],
        turn,
      ),
    ]);
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
    return { ports, enter: [], forks: true, forwarders: () => processTree(roots), stop };
  },
};
