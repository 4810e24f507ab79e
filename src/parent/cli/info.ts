/** info, with rootlessctl's output. */
import { createApiClient } from '../api/client.js';
import type { Info } from '../api/info.js';
import { type SocketOptions, socketPathOf } from './socket.js';

type SourceIP = NonNullable<Info['portDriver']>['sourceIP'];
type Agents = NonNullable<Info['portDriver']>['agents'];

interface Options extends SocketOptions {
  readonly json?: true;
}

export async function showInfo(options: Options): Promise<void> {
  const info = await createApiClient(await socketPathOf(options)).info();
  const text = options.json ? JSON.stringify(info, null, 4) : describe(info).join('\n');
  process.stdout.write(`${text}\n`);
}

function describe({ networkDriver, portDriver, ...rest }: Info): string[] {
  const lines = [
    `- REST API version: ${rest.apiVersion}`,
    `- Implementation version: ${rest.version}`,
    `- State Directory: ${rest.stateDir}`,
    `- Child PID: ${rest.childPID}`,
  ];
  if (networkDriver !== undefined) {
    lines.push(`- Network Driver: ${networkDriver.driver}`, `  - DNS: ${list(networkDriver.dns)}`);
    if (networkDriver.childIP !== undefined) {
      lines.push(`  - IP: ${networkDriver.childIP}`);
    }
  }
  if (portDriver !== undefined) {
    lines.push(
      `- Port Driver: ${portDriver.driver}`,
      `  - Supported protocols: ${list(portDriver.protos)}`,
      ...describeSourceIP(portDriver.sourceIP),
      ...describeAgents(portDriver.agents),
    );
  }
  return lines;
}

/** Nothing for another driver: only ours tells. */
function describeSourceIP(sourceIP: SourceIP): string[] {
  if (sourceIP === undefined) return [];
  const { policy, protos, flows } = sourceIP;
  const lines = Object.entries(protos).map(([proto, { kept, reason = '', except }]) => {
    const but = except === undefined ? '' : `, but ${except}`;
    return `    - ${proto}: ${kept ? `kept${but}` : `not kept: ${reason}`}`;
  });
  const without = Object.entries(flows.without).filter(([, count]) => count > 0);
  const reasons = without.map(([reason, count]) => `${count} ${reason}`).join(', ') || '0';
  const refused = policy === 'require' ? `, refused: ${flows.refused ?? 0}` : '';
  return [
    `  - Client addresses:${policy === 'require' ? ' required' : ''}`,
    ...lines,
    `    - flows: ${flows.kept} kept, without: ${reasons}${refused}`,
  ];
}

function describeAgents(agents: Agents): string[] {
  if (agents === undefined) return [];
  const { running, restarts, lastEnd } = agents;
  const lines = running.map(({ pid, state, since }) => `    - ${pid}: ${state} since ${since}`);
  const last = lastEnd === undefined ? '' : `, the last time because ${lastEnd}`;
  return ['  - Agents:', ...lines, `    - replaced: ${restarts}${last}`];
}

function list(values: readonly string[] | null | undefined): string {
  return `[${(values ?? []).join(' ')}]`;
}
