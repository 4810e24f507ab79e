import { beforeAll, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { enterAsUser, makeHostWithSubids } from '../harness/host-with-subids.js';
import { CLIENT_ADDRESS, HOST_ADDRESS, type Namespace, makeClient } from '../harness/namespaces.js';
import { rootlesskit as needsRootlesskit, tool } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { askWho, writeWhoPage } from '../harness/who.js';
import { type Peer, nameOf, startOurs } from './peers-support.js';

const DEADLINE_MS = 20_000;
/** In a namespace of the test's own every port is free. */
const PORT = 8080;

const PEERS: readonly Peer[] = [
  { major: 1, net: 'slirp4netns', flags: [] },
  { major: 2, net: 'slirp4netns', flags: ['--detach-netns'] },
  { major: 2, net: 'pasta', flags: [] },
];

for (const peer of PEERS) {
  const needs = [needsRootlesskit(peer.major), tool('busybox'), tool('curl')];
  describeWith(needs, `a server in ${nameOf(peer)}`, () => {
    const suite = perSuite();
    const cleanup = perTest();
    let host: Namespace;
    let client: Namespace;

    beforeAll(async () => {
      host = await makeHostWithSubids(suite);
      client = await makeClient(suite, host);
    });

    it.each([
      [HOST_ADDRESS.v4, CLIENT_ADDRESS.v4, '127.0.0.1', `0.0.0.0:${PORT}:80/tcp`],
      [HOST_ADDRESS.v4, CLIENT_ADDRESS.v4, '0.0.0.0', `${HOST_ADDRESS.v4}:${PORT}:80/tcp`],
      [HOST_ADDRESS.v6, CLIENT_ADDRESS.v6, '[::1]', `[::]:${PORT}:[::1]:80/tcp6`],
    ])('on %s sees its client %s: listening on %s', async (address, own, listening, spec) => {
      const folder = temporaryFolder(cleanup);
      writeWhoPage(folder);
      const command = ['busybox', 'httpd', '-f', '-p', `${listening}:80`, '-h', folder];
      const program = enterAsUser(host, 'docker-rootlesskit');
      const options = { publish: [spec], program };
      const rootlesskit = await startOurs(cleanup, peer, command, options);

      const answer = () => askWho(client, address, PORT).catch(() => undefined);
      const what = `an answer on ${address}`;
      const { real, seen } = await rootlesskit.program.until(answer, DEADLINE_MS, what);
      expect(real).toMatch(new RegExp(`^${own} \\d+$`));
      expect(seen).toBe(real);
    });
  });
}
