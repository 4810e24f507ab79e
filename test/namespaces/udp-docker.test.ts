import { dirname } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { type Docker, WEB_IMAGE, sluiceOptions, startDocker } from '../harness/docker.js';
import { makeHostWithSubids } from '../harness/host-with-subids.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  runIn,
} from '../harness/namespaces.js';
import { docker as needsDocker } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 20_000;
const ADDRESS = '{{.NetworkSettings.Networks.six.IPAddress}}';
/** In a namespace of the test's own every port is free. */
const PORT = 8053;
const SECOND_ADDRESS = { v4: '198.51.100.7', v6: 'fd00:1::7' } as const;
const HOST_ADDRESSES = [
  [HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
  [SECOND_ADDRESS.v4, CLIENT_ADDRESS.v4],
  [HOST_ADDRESS.v6, CLIENT_ADDRESS.v6],
  [SECOND_ADDRESS.v6, CLIENT_ADDRESS.v6],
] as const;

/** Tells its last client, unasked too, the address and port at which it sees it. */
const SERVER = `
  const socket = require('node:dgram').createSocket('udp6');
  let last;
  const tell = () => {
    if (last === undefined) return;
    const { port, address } = last;
    socket.send(address.replace('::ffff:', '') + ' ' + port, port, address, () => {});
  };
  socket.on('message', (_, client) => tell(last = client));
  socket.bind(53, '::', () => setInterval(tell, 50));`;

/** Asks from a connected socket, so that only the address that was asked can answer. */
const CLIENT = `
  import { once } from 'node:events';
  import { DgramAsPromised } from 'dgram-as-promised';
  const [host, port] = process.argv.slice(1);
  const udp = DgramAsPromised.createSocket(host.includes(':') ? 'udp6' : 'udp4').setTimeout(2000);
  udp.socket.connect(Number(port), host);
  await once(udp.socket, 'connect');
  const answer = udp.recv();
  udp.socket.send('who am I?');
  const { address, port: own } = udp.address();
  const seen = await answer.then(({ msg }) => msg.toString(), ({ message }) => message);
  await udp.close();
  console.log(JSON.stringify({ real: address + ' ' + own, seen }));`;

/** Asks time and again from one socket, and prints what it was told, line by line. */
const ASKING = `
  const [host, port] = process.argv.slice(1);
  const udp = require('node:dgram').createSocket('udp4').on('error', () => {});
  udp.on('message', (text) => console.log(text.toString()));
  udp.connect(Number(port), host, () => setInterval(() => udp.send('who am I?', () => {}), 100));`;

/** Asks once from each of many sockets, and prints the address that it was told. */
const MANY = `
  const [host, port] = process.argv.slice(1);
  setInterval(() => {
    const udp = require('node:dgram').createSocket('udp4').on('error', () => {});
    udp.on('message', (text) => { console.log(text.toString().split(' ')[0]); });
    udp.connect(Number(port), host, () => udp.send('who am I?', () => {}));
    setTimeout(() => udp.close(), 5000);
  }, 10);`;

describeWith([needsDocker], 'a UDP server in a container', () => {
  const suite = perSuite();
  let docker: Docker;
  let client: Namespace;

  beforeAll(async () => {
    const host = await makeHostWithSubids(suite);
    client = await makeClient(suite, host);
    const addresses = [`${SECOND_ADDRESS.v4}/24`, `${SECOND_ADDRESS.v6}/64`];
    for (const address of addresses) {
      const lifetime = address.includes(':') ? ['nodad', 'preferred_lft', '0'] : [];
      await runIn(host, ['ip', 'addr', 'add', address, 'dev', 'client0', ...lifetime]);
    }
    docker = await startDocker(suite, { ...sluiceOptions(suite), host });
    await docker.docker('network', 'create', '--ipv6', '--subnet=fd00:6::/64', 'six');
    const folders = ['/lib', '/lib64', '/usr', dirname(process.execPath)];
    const mounts = [...new Set(folders)].flatMap((folder) => ['-v', `${folder}:${folder}:ro`]);
    const options = ['--detach', '--network=six', '-p', `${PORT}:53/udp`, ...mounts];
    const server = [WEB_IMAGE, process.execPath, '--eval', SERVER];
    await docker.docker('run', '--name=server', ...options, ...server);
  });

  it.each(HOST_ADDRESSES)('answers from %s and sees its client at %s', async (host, address) => {
    const command = [process.execPath, '--input-type=module', '--eval', CLIENT, host, `${PORT}`];
    const ask = async () => {
      const { real, seen } = JSON.parse(await runIn(client, command)) as Record<string, string>;
      return seen === 'Timeout' || /REFUSED/.test(seen ?? '') ? undefined : { real, seen };
    };
    const { real, seen } = await until(ask, DEADLINE_MS, `an answer from ${host}`);
    expect(real).toMatch(new RegExp(`^${address} \\d+$`));
    expect(seen).toBe(real);
  });

  it('sees the addresses of its clients, from the first datagram after each start', async () => {
    const command = [process.execPath, '--eval', MANY, HOST_ADDRESS.v4, `${PORT}`];
    const asking = await start(suite, enter(client, ...command));
    const answers = () => asking.stdout.split('\n').slice(0, -1);
    for (let starts = 1; starts <= 3; starts++) {
      const before = answers().length;
      await asking.until(() => answers().length > before + 20, DEADLINE_MS, 'answers');
      await docker.docker('restart', '--time=0', 'server');
    }
    await asking.end();
    expect(new Set(answers())).toEqual(new Set([CLIENT_ADDRESS.v4]));
  });

  it('sees its clients at the same ports when another network takes its gateway', async () => {
    const command = [process.execPath, '--eval', ASKING, HOST_ADDRESS.v4, `${PORT}`];
    const asking = await start(suite, enter(client, ...command));
    const [own = ''] = await asking.line(/^.+$/m, DEADLINE_MS);
    await docker.docker('network', 'create', 'other');
    await docker.docker('network', 'connect', '--gw-priority=1', 'other', 'server');
    const answers = () => asking.stdout.trimEnd().split('\n');
    const answered = answers().length;
    await asking.until(() => answers().length > answered + 10, DEADLINE_MS, 'answers');
    expect(new Set(answers())).toEqual(new Set([own]));
    expect(own).toMatch(new RegExp(`^${CLIENT_ADDRESS.v4} \\d+$`));
    await docker.docker('network', 'disconnect', 'other', 'server');
    await asking.end();
  });

  it('goes on with its clients when its address changes', async () => {
    const command = [process.execPath, '--eval', ASKING, HOST_ADDRESS.v4, `${PORT}`];
    const asking = await start(suite, enter(client, ...command));
    const [own = ''] = await asking.line(/^.+$/m, DEADLINE_MS);
    const address = () => docker.docker('inspect', '--format', ADDRESS, 'server');
    const before = await address();
    await docker.docker('network', 'disconnect', 'six', 'server');
    // What takes the address that it had.
    await docker.docker('run', '--detach', '--network=six', WEB_IMAGE);
    await docker.docker('network', 'connect', 'six', 'server');
    expect(await address()).not.toBe(before);
    const answers = () => asking.stdout.split('\n').filter((line) => line === own).length;
    const answered = answers();
    await asking.until(() => answers() > answered, DEADLINE_MS, 'an answer from the new address');
    expect(own).toMatch(new RegExp(`^${CLIENT_ADDRESS.v4} \\d+$`));
  });
});
