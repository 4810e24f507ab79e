import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit as needsRootlesskit, tool } from '../harness/needs.js';
import { pathWith } from '../harness/paths.js';
import { assertFree, freePort } from '../harness/ports.js';
import { run, start } from '../harness/processes.js';
import { type Rootlesskit, startRootlesskit } from '../harness/rootlesskit.js';
import { commandsFolder } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type Peer, nameOf, realOf, startOurs } from './peers-support.js';

const DEADLINE_MS = 20_000;
const BODY = 'answer of the command\n';
/** More than the socket buffers of the whole way hold. */
const STREAM_BYTES = 20_000_000;

const NODE_SERVER = `require('node:http')
  .createServer((_, response) => response.end('x'.repeat(${STREAM_BYTES}))).listen(80, '::')`;

const PEERS: readonly Peer[] = [
  { major: 1, net: 'slirp4netns', flags: [] },
  { major: 1, net: 'slirp4netns', flags: ['--pidns', '--copy-up=/etc', '--copy-up=/run'] },
  { major: 1, net: 'slirp4netns', flags: ['--ipv6', '--slirp4netns-sandbox=true'] },
  { major: 2, net: 'slirp4netns', flags: [] },
  { major: 2, net: 'slirp4netns', flags: ['--pidns', '--copy-up=/etc', '--copy-up=/run'] },
  { major: 2, net: 'slirp4netns', flags: ['--detach-netns'] },
  { major: 2, net: 'slirp4netns', flags: ['--detach-netns', '--copy-up=/run', '--pidns'] },
  { major: 2, net: 'pasta', flags: [] },
  { major: 2, net: 'pasta', flags: ['--detach-netns'] },
];

function webServer(cleanup: Cleanup): string[] {
  const www = temporaryFolder(cleanup);
  writeFileSync(join(www, 'index.html'), BODY);
  return ['busybox', 'httpd', '-f', '-p', '80', '-h', www];
}

/** The first good answer: the command starts to serve after its ports are open. */
function bodyFrom({ program }: Rootlesskit, port: number, host: string): Promise<string> {
  const body = async () => (await ask({ host, port, path: '/' })).body;
  return program.until(() => body().catch(() => ''), DEADLINE_MS, `an answer on ${host}:${port}`);
}

/** What is left of a state directory. */
function left({ stateDir }: Rootlesskit): readonly string[] {
  return existsSync(stateDir) ? readdirSync(stateDir) : ['nothing'];
}

for (const peer of PEERS) {
  const needs = [needsRootlesskit(peer.major), tool('busybox'), tool('rootlessctl')];
  describeWith(needs, nameOf(peer), () => {
    const cleanup = perTest();
    const rootlessctl = join(dirname(realOf(peer.major)), 'rootlessctl');

    it('serves the ports of -p over IPv4 and IPv6', async () => {
      const [both, only4, only6] = [await freePort(), await freePort(), await freePort()];
      const rootlesskit = await startOurs(cleanup, peer, webServer(cleanup), {
        publish: [`${both}:80/tcp`, `127.0.0.2:${only4}:80/tcp`, `[::1]:${only6}:80/tcp`],
      });
      expect(await bodyFrom(rootlesskit, both, '127.0.0.1')).toBe(BODY);
      expect(await bodyFrom(rootlesskit, both, '::1')).toBe(BODY);
      expect(await bodyFrom(rootlesskit, only4, '127.0.0.2')).toBe(BODY);
      expect(await bodyFrom(rootlesskit, only6, '::1')).toBe(BODY);
    });

    it('serves the ports that rootlessctl adds, until it removes them', async () => {
      const rootlesskit = await startOurs(cleanup, peer, webServer(cleanup));
      const control = (...args: readonly string[]) =>
        run([rootlessctl, '--socket', rootlesskit.socket, ...args]);
      const [first, second] = [await freePort(), await freePort()];

      await control('add-ports', `0.0.0.0:${first}:80/tcp`, `127.0.0.1:${second}:80/tcp`);
      expect(await bodyFrom(rootlesskit, first, '127.0.0.1')).toBe(BODY);
      expect(await bodyFrom(rootlesskit, first, '::1')).toBe(BODY);
      expect(await bodyFrom(rootlesskit, second, '127.0.0.1')).toBe(BODY);
      await control('remove-ports', '1');
      await assertFree(first);
      expect(await bodyFrom(rootlesskit, second, '127.0.0.1')).toBe(BODY);
      expect(await control('list-ports')).toMatch(new RegExp(`^2 +tcp +127.0.0.1 +${second}`, 'm'));
    });

    it('carries a long answer of a Node server', async () => {
      const port = await freePort();
      const server = [process.execPath, '-e', NODE_SERVER];
      const publish = [`127.0.0.1:${port}:80/tcp`];
      const rootlesskit = await startOurs(cleanup, peer, server, { publish });
      expect((await bodyFrom(rootlesskit, port, '127.0.0.1')).length).toBe(STREAM_BYTES);
    });

    it('leaves no more than rootlesskit alone when it ends', async () => {
      const port = await freePort();
      const theirs = await startRootlesskit(cleanup, { ...peer, portDriver: 'none' });
      const publish = [`${port}:80/tcp`];
      const ours = await startOurs(cleanup, peer, webServer(cleanup), { publish });
      await bodyFrom(ours, port, '127.0.0.1');
      for (const { program } of [theirs, ours]) await program.end();

      await assertFree(port);
      expect(left(ours)).toEqual(left(theirs));
    });
  });
}

describeWith([needsRootlesskit(1), needsRootlesskit(2)], 'a network driver unknown to it', () => {
  const cleanup = perTest();

  it.each([1, 2] as const)("is refused in rootlesskit %d's own words", async (major) => {
    const real = realOf(major);
    const folder = temporaryFolder(cleanup);
    const refused = (program: string, portDriver: string, TMPDIR: string) =>
      start(cleanup, [program, '--net=none', '--port-driver', portDriver, 'true'], {
        env: { PATH: pathWith(commandsFolder(cleanup), dirname(real)), TMPDIR },
      });
    // Its folder of temporary files is not empty afterwards.
    const theirs = await refused(real, 'none', temporaryFolder(cleanup));
    const ours = await refused('docker-rootlesskit', 'sluice', folder);

    expect(await ours.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
    expect(theirs.stderr).toContain('unknown network mode: none');
    expect(ours.stderr).toContain('unknown network mode: none');
    expect(readdirSync(folder)).toEqual([]);
  });
});
