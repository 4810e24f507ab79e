import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Docker, detachNetns, sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { assertFree, freePort } from '../harness/ports.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import {
  IPV4,
  IPV6,
  answering,
  answeringBoth,
  expectNoPorts,
  expectRefused,
} from './docker-support.js';

const MODES = [
  ["rootlesskit's network namespace", () => ({})],
  ['a detached network namespace', detachNetns],
] as const;

for (const [mode, optionsOf] of MODES) {
  describeWith([needsDocker], `docker run -p into ${mode}`, () => {
    const suite = perSuite();
    const test = perTest();
    let docker: Docker;

    beforeAll(async () => {
      docker = await startDocker(suite, { ...sluiceOptions(suite), ...optionsOf(suite) });
    });

    afterEach(async () => {
      await docker.removeContainers();
      await expectNoPorts(docker);
    });

    it('publishes on both families', async () => {
      const port = await freePort();
      await docker.runWeb('--hostname=web', '-p', `${port}:80`);
      expect(await answeringBoth(port)).toEqual(['web', 'web']);
    });

    it.each([
      [IPV4, `${IPV4}:`, [IPV6, '127.0.0.2']],
      [IPV6, `[${IPV6}]:`, [IPV4]],
      ['127.0.0.2', '127.0.0.2:', [IPV4, IPV6]],
    ] as const)('publishes on %s alone', async (host, prefix, others) => {
      const port = await freePort();
      await docker.runWeb('--hostname=web', '-p', `${prefix}${port}:80`);
      expect(await answering(port, host)).toBe('web');
      await expectRefused(port, ...others);
    });

    it('sends what comes for one container to that one', async () => {
      const [first, second] = [await freePort(), await freePort()];
      await docker.runWeb('--hostname=first', '-p', `${first}:80`);
      await docker.runWeb('--hostname=second', '-p', `${second}:80`);
      expect(await answeringBoth(first)).toEqual(['first', 'first']);
      expect(await answeringBoth(second)).toEqual(['second', 'second']);
    });

    it('publishes several ports of one container', async () => {
      const [first, second] = [await freePort(), await freePort()];
      await docker.runWeb('--hostname=web', '-p', `${first}:80`, '-p', `${IPV4}:${second}:80`);
      expect(await answeringBoth(first)).toEqual(['web', 'web']);
      expect(await answering(second, IPV4)).toBe('web');
    });

    it('lists the ports as docker port and docker inspect do', async () => {
      const port = await freePort();
      const id = await docker.runWeb('-p', `${port}:80`);
      expect(await docker.docker('port', id)).toBe(
        `80/tcp -> 0.0.0.0:${port}\n80/tcp -> [::]:${port}`,
      );
      const format = '{{json .NetworkSettings.Ports}}';
      expect(JSON.parse(await docker.docker('inspect', '--format', format, id))).toEqual({
        '80/tcp': [
          { HostIp: '0.0.0.0', HostPort: `${port}` },
          { HostIp: '::', HostPort: `${port}` },
        ],
      });
      expect((await docker.ports()).map(({ spec }) => spec)).toEqual([
        {
          proto: 'tcp4',
          parentIP: '0.0.0.0',
          parentPort: port,
          childIP: IPV4,
          childPort: port,
        },
        { proto: 'tcp6', parentIP: '::', parentPort: port, childIP: IPV6, childPort: port },
      ]);
    });

    it.each([['stop'], ['kill'], ['rm', '--force']])(
      'has freed the port when docker %s returns',
      async (...command) => {
        const port = await freePort();
        const id = await docker.runWeb('-p', `${port}:80`);
        await answeringBoth(port);
        await docker.docker(...command, id);
        await expect(assertFree(port)).resolves.toBeUndefined();
      },
    );

    it.each(['stop', 'kill'])(
      'publishes again on docker start after docker %s',
      async (command) => {
        const port = await freePort();
        const id = await docker.runWeb('--hostname=web', '-p', `${port}:80`);
        await answeringBoth(port);
        await docker.docker(command, id);
        await expectRefused(port, IPV4, IPV6);
        await docker.docker('start', id);
        expect(await answeringBoth(port)).toEqual(['web', 'web']);
      },
    );

    it('publishes again on docker restart', async () => {
      const port = await freePort();
      const id = await docker.runWeb('--hostname=web', '-p', `${port}:80`);
      await answeringBoth(port);
      for (let round = 0; round < 3; round++) {
        await docker.docker('restart', id);
        expect(await answeringBoth(port)).toEqual(['web', 'web']);
      }
    });

    it('gives the port of a stopped container to the next one', async () => {
      const port = await freePort();
      const id = await docker.runWeb('--hostname=first', '-p', `${port}:80`);
      expect(await answeringBoth(port)).toEqual(['first', 'first']);
      await docker.docker('stop', id);
      await docker.runWeb('--hostname=second', '-p', `${port}:80`);
      expect(await answeringBoth(port)).toEqual(['second', 'second']);
    });

    it('says in the error of docker run who has the port', async () => {
      const server = createServer().listen(0, IPV4);
      test.defer(() => server.close());
      await once(server, 'listening');
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      const run = docker.runWeb('-p', `${IPV4}:${port}:80`);
      await expect(run).rejects.toThrow(
        `cannot listen on ${IPV4}:${port}/tcp4: the port is in use by node (pid ${process.pid}); stop it or choose another port`,
      );
    });

    it('says in the error of docker run how to allow a privileged port', async () => {
      await expect(docker.runWeb('-p', `${IPV4}:1:80`)).rejects.toThrow(
        /cannot listen on 127\.0\.0\.1:1\/tcp4: port 1 is privileged.*sudo sysctl -w net\.ipv4\.ip_unprivileged_port_start=1/,
      );
    });

    it('leaves a container without its port when another one has it', async () => {
      const port = await freePort();
      await docker.runWeb('--hostname=first', '-p', `${port}:80`);
      await expect(docker.runWeb('-p', `${port}:80`)).rejects.toThrow('port is already allocated');
      expect(await answeringBoth(port)).toEqual(['first', 'first']);
    });

    it('publishes again after dockerd was restarted', async () => {
      const port = await freePort();
      const ports = ['-p', `${port}:80`, '-p', `${IPV4}::80`];
      const always = await docker.runWeb('--hostname=always', '--restart=always', ...ports);
      const manual = await docker.runWeb('--hostname=manual', '-p', '80');
      const before = await docker.docker('port', always);
      await answeringBoth(port);
      await docker.stop();
      await assertFree(port);

      await docker.start();
      expect(await answeringBoth(port)).toEqual(['always', 'always']);
      await docker.docker('start', manual);
      const ephemeral = Number((await docker.docker('port', manual)).split(':')[1]?.split('\n')[0]);
      expect(await answeringBoth(ephemeral)).toEqual(['manual', 'manual']);
      expect(before).toContain(String(port));
    });
  });
}
