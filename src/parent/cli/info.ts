/** info, with rootlessctl's output. */
import { createApiClient } from '../api/client.js';
import type { Info } from '../api/info.js';
import { type SocketOptions, socketPathOf } from './socket.js';

interface Options extends SocketOptions {
  readonly json?: true;
}

export async function showInfo(options: Options): Promise<void> {
  const info = await createApiClient(socketPathOf(options)).info();
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
    );
  }
  return lines;
}

function list(values: readonly string[] | null | undefined): string {
  return `[${(values ?? []).join(' ')}]`;
}
