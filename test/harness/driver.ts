/** A driver in this process, with its agent in a namespace. */
import { join } from 'node:path';
import type { Driver, DriverOptions } from '../../dist/parent/driver.js';
import { serve } from '../../dist/parent/serve.js';
import { type Cleanup, temporaryFolder } from './cleanup.js';
import { type Namespace, makeHost } from './namespaces.js';
import { type AgentProbe, findAgent } from './tcp-agent.js';

/** With one agent, however many cores there are, in a new namespace. */
export async function startDriver(
  cleanup: Cleanup,
  options: DriverOptions,
): Promise<{ namespace: Namespace; driver: Driver }> {
  const namespace = await makeHost(cleanup);
  const stateDir = temporaryFolder(cleanup);
  const apiSocket = join(stateDir, 'api.sock');
  const given = {
    child: namespace,
    stateDir,
    apiSocket,
    publish: [],
    driver: { agents: 1, ...options },
  };
  const serving = await serve(given);
  cleanup.defer(() => serving.close());
  return { namespace, driver: serving.manager as Driver };
}

/** The id of what is published at `parentPort`; 0 for nothing. */
export async function idAt(driver: Driver, parentPort: number): Promise<number> {
  const ports = await driver.listPorts();
  return ports.find(({ spec }) => spec.parentPort === parentPort)?.id ?? 0;
}

/** The one that serves now. */
export function servingAgent(): AgentProbe {
  const agent = findAgent();
  if (agent === undefined) throw new Error('there is no agent');
  return agent;
}
