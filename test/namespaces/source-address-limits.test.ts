import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { Info } from '../../src/parent/api/info.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { enterAsUser, makeHostWithSubids } from '../harness/host-with-subids.js';
import { ask } from '../harness/http.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  makeClient,
  runIn,
} from '../harness/namespaces.js';
import { rootlesskit as needsRootlesskit, tool } from '../harness/needs.js';
import { type Program, run, start } from '../harness/processes.js';
import { type Rootlesskit, startRootlesskit } from '../harness/rootlesskit.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { askWho, writeWhoPage } from '../harness/who.js';
import { realOf, startOurs } from './peers-support.js';
import { NEEDS, stateOf } from './source-address-setup-support.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;
const SWITCHED_OFF = {
  kept: false,
  reason: 'switched off by --source-ip=off',
};

async function sourceIPOf(socketPath: string) {
  const { body } = await ask({ socketPath, path: '/v1/info' });
  return (JSON.parse(body) as Info).portDriver?.sourceIP;
}

for (const major of [1, 2] as const) {
  const needs = [needsRootlesskit(major), tool('busybox'), tool('curl')];
  describeWith(needs, `--source-ip-transparent=false with rootlesskit ${major}`, () => {
    const test = perTest();

    it('leaves servers with the address of the agent, and says so', async () => {
      const host = await makeHostWithSubids(test);
      const client = await makeClient(test, host);
      const folder = temporaryFolder(test);
      writeWhoPage(folder);
      const peer = { major, net: 'slirp4netns', flags: ['--source-ip-transparent=false'] } as const;
      const command = ['busybox', 'httpd', '-f', '-p', '127.0.0.1:80', '-h', folder];
      const { program, socket } = await startOurs(test, peer, command, {
        publish: [`0.0.0.0:${PORT}:80/tcp`],
        program: enterAsUser(host, 'docker-rootlesskit'),
      });

      const answer = () => askWho(client, HOST_ADDRESS.v4, PORT).catch(() => undefined);
      const { real, seen } = await program.until(answer, DEADLINE_MS, 'an answer');
      expect(real).toMatch(new RegExp(`^${CLIENT_ADDRESS.v4} `));
      expect(seen).toMatch(/^127\.0\.0\.1 /);

      const sourceIP = await sourceIPOf(socket);
      expect(sourceIP?.protos).toMatchObject({ tcp4: SWITCHED_OFF, udp6: SWITCHED_OFF });
      expect(sourceIP?.flows.kept).toBe(0);
      expect(sourceIP?.flows.without['disabled']).toBeGreaterThan(0);
      const text = await run(sluice('info', '--socket', socket));
      expect(text).toContain(`tcp4: not kept: ${SWITCHED_OFF.reason}\n`);
      expect(text).toMatch(/flows: 0 kept, without: \d+ disabled\n/);
    });
  });
}

describeWith([...NEEDS, needsRootlesskit(2)], 'the namespace of a rootlesskit', () => {
  const suite = perSuite();
  const test = perTest();
  let host: Namespace;
  let rootlesskit: Rootlesskit;
  let before: Record<string, string>;

  beforeAll(async () => {
    host = await makeHostWithSubids(suite);
    rootlesskit = await startRootlesskit(suite, {
      major: 2,
      net: 'slirp4netns',
      portDriver: 'none',
      program: enterAsUser(host, realOf(2)),
    });
    const child = { pid: rootlesskit.childPid };
    // The tap's own IPv6 address has a route once it is known to be nobody else's.
    const tentative = ['ip', '-6', 'address', 'show', 'tentative'];
    const settled = async () => (await runIn(child, tentative)) === '';
    await rootlesskit.program.until(settled, DEADLINE_MS, 'settled addresses');
    before = await stateOf(child);
  });

  async function attach(flag: string): Promise<Program> {
    const { stateDir, socket } = rootlesskit;
    const command = sluice('attach', '--state-dir', stateDir, flag);
    const attached = await start(test, enterAsUser(host, ...command));
    const served = () => sourceIPOf(socket);
    await attached.until(served, DEADLINE_MS, 'the API of sluice');
    return attached;
  }

  it('stays as it is when source addresses are switched off', async () => {
    const attached = await attach('--source-ip-transparent=0');
    const { childPid, socket } = rootlesskit;
    expect((await sourceIPOf(socket))?.protos['tcp4']).toEqual(SWITCHED_OFF);
    expect(await stateOf({ pid: childPid })).toEqual(before);
    expect(await attached.end()).toEqual({ code: 0, signal: null });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'is as it was when sluice has ended by %s, and rootlesskit goes on',
    async (signal) => {
      const attached = await attach('--source-ip-transparent=true');
      const { childPid, program, socket } = rootlesskit;
      const kept = { kept: true };
      expect((await sourceIPOf(socket))?.protos).toMatchObject({
        tcp4: kept,
        tcp6: kept,
        udp4: kept,
        udp6: kept,
      });
      const during = await stateOf({ pid: childPid });
      expect(during['nft']).toContain('table inet sluice');
      for (const name of ['rules', 'rules6']) expect(during[name]).toContain('fwmark');

      attached.signal(signal);
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
      expect(await stateOf({ pid: childPid })).toEqual(before);
      expect(program.ended).toBe(false);
    },
  );
});

describeWith([needsRootlesskit(2)], 'a value that is none', () => {
  const test = perTest();

  it.each([
    ['--source-ip-transparent=maybe', '"maybe", expected true or false'],
    ['--source-ip-transparent=', '"", expected true or false'],
    ['--child-host-ip=eth0', '"eth0", expected loopback or tap'],
    ['--max-flows=0', '"0", expected a whole number from 1 to 999999999'],
    ['--max-flows-per-port=x', '"x", expected a whole number from 1 to 999999999'],
  ])('of %s is refused', async (flag, text) => {
    const name = flag.slice(0, flag.indexOf('='));
    const stateDir = join(temporaryFolder(test), 'state');
    const attach = ['attach', '--state-dir', stateDir, flag];
    const options = ['--port-driver=sluice', '--net=slirp4netns', `--state-dir=${stateDir}`];
    const env = { PATH: `${join(realOf(2), '..')}:${process.env['PATH']}` };
    for (const words of [attach, ['rootlesskit', ...options, flag, 'true']]) {
      const program = await start(test, sluice(...words), { env });
      expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
      expect(program.stderr).toBe(`sluice: ${name} is ${text}\n`);
    }
  });
});
