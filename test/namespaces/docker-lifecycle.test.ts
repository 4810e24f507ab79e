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
import { IPV4, IPV6, answering, answeringBoth, expectRefused } from './docker-support.js';

const DEADLINE_MS = 20_000;
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
    expect(await docker.ports()).toEqual([]);
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
    await run([...control, 'add-ports', `${port}:80/tcp`]);
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

  it('is chosen by docker where the user names none', async () => {
    const id = await docker.runWeb('--hostname=web', '-p', '80', '-p', `${IPV4}::80`);
    const chosen = new Set(hostPorts(await docker.docker('port', id, '80/tcp')));
    expect(chosen.size).toBe(2);
    for (const port of chosen) expect(await answering(port, IPV4)).toBe('web');
  });

  it('is another one on every address', async () => {
    const port = await freePort();
    const hosts = { four: IPV4, second: '127.0.0.2', six: IPV6 };
    for (const [name, host] of Object.entries(hosts)) {
      const address = host.includes(':') ? `[${host}]` : host;
      await docker.runWeb(`--hostname=${name}`, '-p', `${address}:${port}:80`);
    }
    for (const [name, host] of Object.entries(hosts)) {
      expect(await answering(port, host)).toBe(name);
    }
    await expectRefused(port, '127.0.0.3');
  });

  it('is the same container on all addresses that were asked for', async () => {
    const port = await freePort();
    const addresses = [IPV4, '127.0.0.2', `[${IPV6}]`];
    const options = addresses.flatMap((address) => ['-p', `${address}:${port}:80`]);
    const id = await docker.runWeb('--hostname=web', ...options);
    for (const host of [IPV4, '127.0.0.2', IPV6]) expect(await answering(port, host)).toBe('web');
    await docker.docker('stop', id);
    await expectRefused(port, IPV4, '127.0.0.2', IPV6);
  });

  it('is free again when its container ends by itself', async () => {
    const port = await freePort();
    const script = ['/bin/sh', '-c', 'until [ -e /go ]; do /bin/busybox usleep 20000; done'];
    const options = ['--detach', '--rm', '-p', `${port}:80`];
    const id = await docker.docker('run', ...options, WEB_IMAGE, ...script);
    await expect(assertFree(port)).rejects.toThrow('EADDRINUSE');
    await docker.docker('exec', id, '/bin/busybox', 'touch', '/go');
    await docker.docker('wait', id).catch(() => undefined); // It may be gone by now.
    await until(() => assertFree(port).then(() => true), DEADLINE_MS, `port ${port} to be free`);
  });

  it.each([IPV4, IPV6])('resets what comes before the server listens: %s', async (host) => {
    const port = await freePort();
    const wait = 'until [ -e /go ]; do /bin/busybox usleep 20000; done; exec';
    const script = ['/bin/sh', '-c', `${wait} ${WEB_COMMAND.join(' ')}`];
    const options = ['--detach', '--hostname=late', '-p', `${port}:80`];
    const id = await docker.docker('run', ...options, WEB_IMAGE, ...script);
    for (let round = 0; round < 3; round++) {
      const cleanup = new Cleanup();
      const client = connect(cleanup, port, host);
      const outcome = await client.outcome();
      await cleanup.run();
      expect(outcome).toEqual({ text: '', end: 'ECONNRESET' });
    }
    await docker.docker('exec', id, '/bin/busybox', 'touch', '/go');
    expect(await answeringBoth(port)).toEqual(['late', 'late']);
  });
});
