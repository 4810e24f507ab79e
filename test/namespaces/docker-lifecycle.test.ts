import { afterEach, beforeAll, expect, it } from 'vitest';
import { Cleanup } from '../harness/cleanup.js';
import {
  type Docker,
  WEB_COMMAND,
  WEB_IMAGE,
  sluiceOptions,
  startDocker,
} from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { assertFree, freePort, freeRange } from '../harness/ports.js';
import { run } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { connect } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';
import {
  IPV4,
  IPV6,
  answering,
  answeringBoth,
  expectNoPorts,
  expectRefused,
} from './docker-support.js';

const DEADLINE_MS = 20_000;
/** Shell code of a container, and the command that lets it go on. */
const WAIT_FOR_GO = 'until [ -e /go ]; do /bin/busybox usleep 20000; done';
const GO = ['/bin/busybox', 'touch', '/go'];
const SLEEP = ['/bin/busybox', 'sleep', 'infinity'];

/** Host ports of `docker port`, in the order of its lines. */
function hostPorts(output: string): number[] {
  return output.split('\n').map((line) => Number(line.slice(line.lastIndexOf(':') + 1)));
}

describeWith([needsDocker], 'a port of a container', () => {
  const suite = perSuite();
  let docker: Docker;

  beforeAll(async () => {
    docker = await startDocker(suite, sluiceOptions(suite));
    await docker.docker('network', 'create', 'one');
    await docker.docker('network', 'create', 'other');
    await docker.docker('network', 'create', '--ipv6', '--subnet=fd00:6::/64', 'six');
    await docker.docker('network', 'create', '--ipv6', '--ipv4=false', 'only6');
  });

  afterEach(async () => {
    await docker.removeContainers();
    await expectNoPorts(docker);
  });

  it.each(['one', 'six'])('is served on a network of the user: %s', async (network) => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', `--network=${network}`, '-p', `${port}:80`);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
    await docker.docker('restart', id);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
  });

  it('is served on a network without IPv4', async () => {
    const port = await freePort();
    await docker.runWeb('--hostname=web', '--network=only6', '-p', `${port}:80`);
    expect(await answering(port, IPV6)).toBe('web');
  });

  it('follows its container from one network to the other', async () => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', '--network=one', '-p', `${port}:80`);
    for (const [from, to] of [
      ['one', 'other'],
      ['other', 'six'],
      ['six', 'one'],
    ] as const) {
      expect(await answeringBoth(port)).toEqual(['web', 'web']);
      await docker.docker('network', 'connect', to, id);
      expect(await answeringBoth(port)).toEqual(['web', 'web']);
      await docker.docker('network', 'disconnect', from, id);
    }
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
  });

  it('moves when a network becomes the gateway', async () => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', '--network=one', '-p', `${port}:80`);
    const before = (await docker.ports()).map(({ id: number }) => number);
    await docker.docker('network', 'connect', '--gw-priority=1', 'other', id);
    expect((await docker.ports()).map(({ id: number }) => number)).not.toEqual(before);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
    await docker.docker('network', 'disconnect', 'other', id);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
  });

  it('is closed while its container has no network', async () => {
    const port = await freePort();
    const id = await docker.runWeb('--hostname=web', '--network=one', '-p', `${port}:80`);
    await docker.docker('network', 'disconnect', 'one', id);
    await assertFree(port);
    await docker.docker('network', 'connect', 'one', id);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
  });

  it('is served by a container that shares the network', async () => {
    const port = await freePort();
    const options = ['--detach', '--hostname=owner', '-p', `${port}:80`];
    const owner = await docker.docker('run', ...options, WEB_IMAGE, ...SLEEP);
    await docker.runWeb(`--network=container:${owner}`);
    expect(await answeringBoth(port)).toEqual(['owner', 'owner']);
  });

  it.each(['none', 'host'])('is not published with --network %s', async (network) => {
    const port = await freePort();
    await docker.runWeb(`--network=${network}`, '-p', `${port}:80`);
    await expectRefused(port, IPV4, IPV6);
    expect(await docker.ports()).toEqual([]);
  });

  it('reaches a container of the host network when rootlessctl publishes it', async () => {
    const port = await freePort();
    await docker.runWeb('--network=host');
    const control = ['rootlessctl', `--socket=${docker.stateDir}/api.sock`];
    await run([...control, 'add-ports', `0.0.0.0:${port}:80/tcp`]);
    const [first] = await docker.ports();
    expect((await answeringBoth(port)).length).toBe(2);
    await run([...control, 'remove-ports', String(first?.id)]);
  });

  it('is the first free one of a range', async () => {
    const first = await freeRange(4);
    const range = `${first}-${first + 3}:80`;
    for (const offset of [0, 1, 2]) {
      await docker.runWeb(`--hostname=web${offset}`, '-p', range);
    }
    for (const offset of [0, 1, 2]) {
      expect(await answeringBoth(first + offset)).toEqual([`web${offset}`, `web${offset}`]);
    }
  });

  it('is one of as many as the range has', async () => {
    const count = 10;
    const first = await freeRange(count);
    const range = `${first}-${first + count - 1}`;
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const server = 'for port in "$@"; do /bin/busybox httpd -h /www -p $port; done; exec';
    const script = ['/bin/sh', '-c', `${server} ${SLEEP.join(' ')}`, 'sh', ...ports.map(String)];
    const options = ['--hostname=web', '-p', `${range}:${range}`];
    const id = await docker.docker('run', '--detach', ...options, WEB_IMAGE, ...script);
    for (const port of ports) expect(await answeringBoth(port)).toEqual(['web', 'web']);
    await docker.docker('rm', '--force', id);
    for (const port of ports) await assertFree(port);
  });

  it.each(['80', `${IPV4}::80`])(
    'is chosen by docker where the user names none: -p %s',
    async (spec) => {
      const id = await docker.runWeb('--hostname=web', '-p', spec);
      const [port] = hostPorts(await docker.docker('port', id, '80/tcp'));
      expect(await answering(port ?? 0, IPV4)).toBe('web');
    },
  );

  // dockerd 28 binds every IPv4 address as 127.0.0.1 inside, so one port can't be on two of them.
  it('is another one for each family and address', async () => {
    const [port, other] = [await freePort(), await freePort()];
    await docker.runWeb('--hostname=four', '-p', `${IPV4}:${port}:80`);
    await docker.runWeb('--hostname=six', '-p', `[${IPV6}]:${port}:80`);
    await docker.runWeb('--hostname=second', '-p', `127.0.0.2:${other}:80`);
    expect(await answering(port, IPV4)).toBe('four');
    expect(await answering(port, IPV6)).toBe('six');
    expect(await answering(other, '127.0.0.2')).toBe('second');
    await expectRefused(port, '127.0.0.2');
    await expectRefused(other, IPV4, IPV6);
  });

  it('is the same container on all addresses that were asked for', async () => {
    const port = await freePort();
    const options = ['-p', `${IPV4}:${port}:80`, '-p', `[${IPV6}]:${port}:80`];
    const id = await docker.runWeb('--hostname=web', ...options);
    expect(await answeringBoth(port)).toEqual(['web', 'web']);
    await docker.docker('stop', id);
    await expectRefused(port, IPV4, IPV6);
  });

  it('is free again when its container ends by itself', async () => {
    const port = await freePort();
    const options = ['--detach', '--rm', '-p', `${port}:80`];
    const id = await docker.docker('run', ...options, WEB_IMAGE, '/bin/sh', '-c', WAIT_FOR_GO);
    await expect(assertFree(port)).rejects.toThrow('EADDRINUSE');
    // Not waited for: the container's end would be that of the exec, too, and perhaps sooner.
    await docker.docker('exec', '--detach', id, ...GO);
    await until(() => assertFree(port).then(() => true), DEADLINE_MS, `port ${port} to be free`);
    const isRemoved = async () => (await docker.docker('ps', '--all', '--quiet')) === '';
    await until(isRemoved, DEADLINE_MS, 'the container to be removed');
  });
});

for (const proxy of [true, false]) {
  describeWith([needsDocker], `a server that listens late, userland-proxy ${proxy}`, () => {
    const suite = perSuite();
    let docker: Docker;

    beforeAll(async () => {
      const dockerdFlags = [`--userland-proxy=${proxy}`];
      docker = await startDocker(suite, { ...sluiceOptions(suite), dockerdFlags });
    });

    it('has connections reset before, and answers after', async () => {
      const port = await freePort();
      const script = ['/bin/sh', '-c', `${WAIT_FOR_GO}; exec ${WEB_COMMAND.join(' ')}`];
      const options = ['--detach', '--hostname=late', '-p', `${port}:80`];
      const id = await docker.docker('run', ...options, WEB_IMAGE, ...script);
      // Without docker-proxy, dockerd publishes no IPv6 port of a container that has no IPv6.
      const hosts = proxy ? [IPV4, IPV6] : [IPV4];
      for (const host of [...hosts, ...hosts]) {
        const cleanup = new Cleanup();
        const { text, end } = await connect(cleanup, port, host).outcome();
        await cleanup.run();
        expect(text).toBe('');
        // docker-proxy would take the connection and close it in good order.
        expect(end).toBe('ECONNRESET');
      }
      await docker.docker('exec', id, ...GO);
      for (const host of hosts) expect(await answering(port, host)).toBe('late');
    });
  });
}
