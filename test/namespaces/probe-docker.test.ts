/** What `sluice probe` says about containers of rootless Docker. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { childContextOf } from '../../src/parent/launcher/state-dir.js';
import { nsenterOptions } from '../../src/parent/nsenter.js';
import type { View } from '../../src/parent/probe/view.js';
import type { Cleanup } from '../harness/cleanup.js';
import {
  type Docker,
  type DockerOptions,
  WEB_IMAGE,
  detachNetns,
  sluiceOptions,
  startDocker,
} from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { run } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { outputOf } from '../unit/support/cli.js';

const DEADLINE_MS = 20_000;
const HTTPD = ['/bin/busybox', 'httpd', '-f', '-h', '/www'];
const NETWORKS: readonly (readonly [string, (cleanup: Cleanup) => Partial<DockerOptions>])[] = [
  ['', () => ({})],
  [' with a detached network namespace', detachNetns],
];

const ADDRESS = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';

const STATE_PID = '{{.State.Pid}}';
/** Of a listening socket, in /proc/PID/net/tcp and tcp6. */
const LISTENS = /^ *\d+: \S+ \S+ 0A /m;

/**
 * A container with port 80 published on 127.0.0.1, once its server listens somewhere; its address
 * and that port.
 */
async function runContainer(
  docker: Docker,
  cleanup: Cleanup,
  proto: 'tcp' | 'udp' = 'tcp',
  ...command: readonly string[]
) {
  const options = ['--detach', '--publish', `127.0.0.1::80/${proto}`];
  const id = await docker.docker('run', ...options, WEB_IMAGE, ...command);
  cleanup.defer(() => docker.removeContainers());
  const port = Number((await docker.docker('port', id)).split(':').at(-1));
  const pid = await docker.docker('inspect', '--format', STATE_PID, id);
  const listens = (table: string) =>
    LISTENS.test(readFileSync(`/proc/${pid}/net/${table}`, 'latin1'));
  await until(() => ['tcp', 'tcp6'].some(listens), DEADLINE_MS, 'a server that listens');
  return { id, port, ip: await docker.docker('inspect', '--format', ADDRESS, id) };
}

async function probe(docker: Docker, port: number, proto = 'tcp'): Promise<View> {
  const socket = join(docker.stateDir, 'api.sock');
  const command = sluice('probe', '--json', '--socket', socket, `127.0.0.1:${port}/${proto}`);
  const { stdout, stderr } = await outputOf(command);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as View;
}

describe.each(NETWORKS)('rootless Docker%s', (_, network) => {
  describeWith([needsDocker], 'probed', () => {
    const suite = perSuite();
    const cleanup = perTest();
    let docker: Docker;

    beforeAll(async () => {
      docker = await startDocker(suite, { ...sluiceOptions(suite), ...network(suite) });
    });

    function iptables(...args: readonly string[]): Promise<string> {
      const enter = nsenterOptions(childContextOf(docker.stateDir));
      // The machine's own lock file is root's.
      const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
      return run(['nsenter', ...enter, 'iptables', ...args], { env });
    }

    it('has a container that answers', async () => {
      const { port, ip } = await runContainer(docker, cleanup);
      const view = await probe(docker, port);
      expect(view).toMatchObject({
        verdict: 'connected',
        published: { spec: { parentPort: port } },
        inside: [{ ip, port: 80, origin: 'docker-proxy', owner: { kind: 'container' } }],
      });
      expect(view.reason).toBeUndefined();
    });

    it('has one whose server listens on its loopback only', async () => {
      const { port, ip } = await runContainer(
        docker,
        cleanup,
        'tcp',
        ...HTTPD,
        '-p',
        '127.0.0.1:80',
      );
      const { reason } = await probe(docker, port);
      expect(reason).toMatchObject({
        code: 'wrongAddress',
        text: `nothing listens on ${ip}:80 in the container; the server listens on 127.0.0.1:80 only`,
      });
    });

    it('has one in which nothing listens on that port', async () => {
      const { port, ip } = await runContainer(docker, cleanup, 'tcp', ...HTTPD, '-p', '81');
      const { reason } = await probe(docker, port);
      expect(reason).toMatchObject({
        code: 'notListening',
        text: `nothing listens on ${ip}:80 in the container`,
      });
    });

    it('has one with nothing on its port of UDP', async () => {
      const { port, ip } = await runContainer(docker, cleanup, 'udp');
      const { inside, reason } = await probe(docker, port, 'udp');
      const origin = 'docker-proxy';
      expect(inside).toMatchObject([{ ip, transport: 'udp', origin, verdict: 'refused' }]);
      expect(reason).toMatchObject({
        code: 'notListening',
        text: `nothing listens on ${ip}:80 in the container`,
      });
    });

    it.each(['REJECT', 'DROP'])('has one behind a rule that says %s', async (target) => {
      const { port, ip } = await runContainer(docker, cleanup);
      const rule = ['OUTPUT', '-d', ip, '-p', 'tcp', '--dport', '80', '-j', target];
      await iptables('-I', ...rule);
      cleanup.defer(() => iptables('-D', ...rule));
      const { reason } = await probe(docker, port);
      expect(reason).toMatchObject({
        code: 'firewall',
        text: `somebody listens on ${ip}:80 in the container, but a firewall rule in the child namespace stops what is sent there`,
      });
      const command = reason?.remedy.replace('find it with: ', '') ?? '';
      expect(await run(['sh', '-c', command])).toContain(
        `-A OUTPUT -d ${ip}/32 -p tcp -m tcp --dport 80 -j ${target}`,
      );
    });

    it('has one whose processes are stopped', async () => {
      const { id, port, ip } = await runContainer(docker, cleanup);
      await docker.docker('kill', '--signal', 'STOP', id);
      const { verdict, reason } = await probe(docker, port);
      expect(verdict).toBe('connected');
      expect(reason).toMatchObject({
        code: 'paused',
        text: `all processes of the container with ${ip} are stopped: connections stand, nobody answers`,
      });
    });

    it('has no port of one that has ended', async () => {
      const { id, port } = await runContainer(docker, cleanup);
      const other = await runContainer(docker, cleanup);
      await docker.docker('stop', id);
      const { verdict, reason } = await probe(docker, port);
      expect(verdict).toBe('refused');
      expect(reason).toMatchObject({
        code: 'notPublished',
        text: expect.stringContaining(`others are: 127.0.0.1:${other.port}:`) as string,
      });
    });
  });
});

describeWith([needsDocker], 'rootless Docker without rules', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let docker: Docker;

  beforeAll(async () => {
    docker = await startDocker(suite, {
      ...sluiceOptions(suite),
      dockerdFlags: ['--iptables=false'],
    });
  });

  it('is probed behind its docker-proxy', async () => {
    const { port, ip } = await runContainer(docker, cleanup, 'tcp', ...HTTPD, '-p', '127.0.0.1:80');
    const { inside, reason } = await probe(docker, port);
    expect(inside).toMatchObject([
      { ip, port: 80, origin: 'docker-proxy', verdict: 'refused', owner: { kind: 'container' } },
    ]);
    expect(reason).toMatchObject({ code: 'wrongAddress' });
  });
});
