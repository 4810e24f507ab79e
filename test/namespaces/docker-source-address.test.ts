import { join } from 'node:path';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { nsenterOptions } from '../../src/parent/nsenter.js';
import { childContextOf } from '../../src/parent/launcher/state-dir.js';
import { stateSchema } from '../../src/parent/cli/top/state.js';
import {
  type Docker,
  detachNetns,
  sluiceOptions,
  startDocker,
  WEB_IMAGE,
} from '../harness/docker.js';
import { makeHostWithSubids } from '../harness/host-with-subids.js';
import {
  CLIENT_ADDRESS,
  enter,
  HOST_ADDRESS,
  type Namespace,
  makeClient,
} from '../harness/namespaces.js';
import { docker as needsDocker, tool } from '../harness/needs.js';
import { run, start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { askWho, WHO_PATH } from '../harness/who.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;

/** Opens connections of its own accord, and prints the address that a server has seen for each. */
const ASKING = `
  const [host, port, path] = process.argv.slice(1);
  const { get } = require('node:http');
  setInterval(() => {
    const asked = get({ host, port, path, agent: false }, (answer) =>
      answer.setEncoding('utf8').on('data', (text) => console.log(text.split(' ')[1])));
    asked.on('error', () => {});
  }, 10);`;

const ADDRESS = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';

const SETTINGS = [
  { name: 'stock Docker', dockerdFlags: [], hasProxy: true, more: () => ({}) },
  { name: 'a detached network', dockerdFlags: [], hasProxy: true, more: detachNetns },
  {
    name: 'Docker without rules',
    dockerdFlags: ['--iptables=false', '--ip6tables=false'],
    hasProxy: true,
    more: () => ({}),
  },
  {
    name: 'Docker without docker-proxy',
    dockerdFlags: ['--userland-proxy=false'],
    hasProxy: false,
    more: () => ({}),
  },
];

for (const { name, dockerdFlags, hasProxy, more } of SETTINGS) {
  describeWith([needsDocker, tool('curl')], `a container of ${name}`, () => {
    const suite = perSuite();
    let docker: Docker;
    let client: Namespace;

    beforeAll(async () => {
      const host = await makeHostWithSubids(suite);
      client = await makeClient(suite, host);
      const options = { ...sluiceOptions(suite), ...more(suite), dockerdFlags, host };
      docker = await startDocker(suite, options);
      await docker.docker('network', 'create', '--ipv6', '--subnet=fd00:6::/64', 'six');
    });

    afterEach(() => docker.removeContainers());

    it.each([
      ['bridge', HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
      ['six', HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
      ['six', HOST_ADDRESS.v6, CLIENT_ADDRESS.v6],
    ])('on network %s, port of %s, sees its client %s', async (network, host, address) => {
      await docker.runWeb('--hostname=web', `--network=${network}`, '-p', `${PORT}:80`);
      const answer = () => askWho(client, host, PORT);
      const { real, seen } = await until(answer, DEADLINE_MS, `an answer on ${host}`);
      expect(real).toMatch(new RegExp(`^${address} \\d+$`));
      expect(seen).toBe(real);
    });

    it('sees its client in every connection, from the first one after each start', async () => {
      const command = [process.execPath, '--eval', ASKING, HOST_ADDRESS.v4, `${PORT}`, WHO_PATH];
      const asking = await start(suite, enter(client, ...command));
      const answers = () => asking.stdout.split('\n').slice(0, -1);
      const id = await docker.runWeb('-p', `${PORT}:80`);
      for (let starts = 1; starts <= 3; starts++) {
        const before = answers().length;
        await asking.until(() => answers().length > before + 20, DEADLINE_MS, 'answers');
        await docker.docker('restart', '--time=0', id);
      }
      await asking.end();
      expect(new Set(answers())).toEqual(new Set([`[::ffff:${CLIENT_ADDRESS.v4}]`]));
    });

    const holdsClient = ['network', 'create', '--subnet=198.51.100.0/28', 'holder'];

    it('sees its client where an empty network of docker has a range that holds it', async () => {
      await docker.runWeb('-p', `${PORT}:80`);
      await docker.docker(...holdsClient);
      try {
        const answer = () => askWho(client, HOST_ADDRESS.v4, PORT);
        const { real, seen } = await until(answer, DEADLINE_MS, 'an answer');
        expect(seen).toBe(real);
      } finally {
        await docker.docker('network', 'rm', 'holder');
      }
    });

    it('sees its client again after another program removed all of our rules', async () => {
      await docker.runWeb('-p', `${PORT}:80`);
      const answer = () => askWho(client, HOST_ADDRESS.v4, PORT);
      await until(answer, DEADLINE_MS, 'an answer');
      const api = join(docker.stateDir, 'api.sock');
      const inside = ['nsenter', ...nsenterOptions(childContextOf(docker.stateDir)), '--'];
      const remove = 'nft delete table inet sluice; ip rule del priority 301';
      await run([...inside, 'sh', '-e', '-c', remove]);
      const { real, seen } = await answer();
      expect(seen).toBe(real);
      expect(await run(sluice('info', '--socket', api))).toContain('tcp4: kept\n');
    });

    it('goes on pushing to its client when another network takes its gateway', async () => {
      // So seldom that all is done between two of them.
      const ticks = 'while :; do echo tick; /bin/busybox usleep 1500000; done';
      const server = ['/bin/busybox', 'nc', '-ll', '-p', '80', '-e', '/bin/sh', '-c', ticks];
      const port = ['-p', `${PORT}:80`];
      await docker.docker('run', '--detach', '--name=pushing', ...port, WEB_IMAGE, ...server);
      const listen = `require('node:net').connect(${PORT}, '${HOST_ADDRESS.v4}').pipe(process.stdout)`;
      const connect = async () => {
        const program = await start(suite, enter(client, process.execPath, '--eval', listen));
        await program.line(/tick/, DEADLINE_MS);
        return program;
      };
      const listener = await until(connect, DEADLINE_MS, 'a connection');
      await docker.docker('network', 'connect', '--gw-priority=1', 'six', 'pushing');
      const before = listener.stdout.length;
      const length = () => listener.stdout.length;
      await listener.until(() => length() > before + 'tick '.length, DEADLINE_MS, 'more');
      expect(listener.stdout).toMatch(/^(tick\n){3,}/);
    });

    it('serves clients over IPv6 where docker publishes it, and is told of as their server', async () => {
      const id = await docker.runWeb('--hostname=web', '-p', `${PORT}:80`);
      // Without docker-proxy it does not for a container without IPv6.
      const isPublished = (await docker.docker('port', id)).includes('[::]');
      expect(isPublished).toBe(hasProxy);
      const host = isPublished ? 'v6' : 'v4';
      const answer = () => askWho(client, HOST_ADDRESS[host], PORT);
      const { real } = await until(answer, DEADLINE_MS, `an answer over IP${host}`);
      expect(real).toMatch(new RegExp(`^${CLIENT_ADDRESS[host]} \\d+$`));

      const api = join(docker.stateDir, 'api.sock');
      const told = await run(sluice('top', '--once', '--json', '--socket', api));
      const { ports } = stateSchema.parse(JSON.parse(told));
      const ip = await docker.docker('inspect', '--format', ADDRESS, id);
      expect(ports.flatMap(({ server }) => server ?? [])).toEqual([{ ip, port: 80 }]);
    });
  });
}
