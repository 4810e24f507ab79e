import { dirname } from 'node:path';
import { expect } from 'vitest';
import { type Docker, WEB_IMAGE } from '../harness/docker.js';
import { ask } from '../harness/http.js';
import { until } from '../harness/wait.js';
import { WHO_PATH } from '../harness/who.js';

const DEADLINE_MS = 20_000;

export const IPV4 = '127.0.0.1';
export const IPV6 = '::1';

/**
 * The host name of the container that answers on a published port. A container runs before its
 * server listens, so what is refused or reset is asked again.
 */
export async function answering(port: number, host: string): Promise<string> {
  return until(
    async () => {
      const { status, body } = await ask({ host, port, path: WHO_PATH });
      return status === 200 && body.split(' ')[0];
    },
    DEADLINE_MS,
    `an answer of a container on ${host}, port ${port}`,
  );
}

/** The host names that answer over IPv4 and IPv6. */
export async function answeringBoth(port: number): Promise<string[]> {
  return [await answering(port, IPV4), await answering(port, IPV6)];
}

/** Nobody listens there. */
export async function expectRefused(port: number, ...hosts: readonly string[]): Promise<void> {
  for (const host of hosts) {
    await expect(ask({ host, port })).rejects.toThrow('ECONNREFUSED');
  }
}

/** Nothing of what was published is left. */
export async function expectNoPorts(docker: Docker): Promise<void> {
  expect(await docker.ports()).toEqual([]);
}

/** The image and command of a container that runs a script with this machine's Node. */
export function nodeInContainer(script: string): string[] {
  const folders = ['/lib', '/lib64', '/usr', dirname(process.execPath)];
  const mounts = [...new Set(folders)].flatMap((folder) => ['-v', `${folder}:${folder}:ro`]);
  return [...mounts, WEB_IMAGE, process.execPath, '--eval', script];
}
