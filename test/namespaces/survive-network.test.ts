/** slirp4netns, which rootlesskit starts and never looks at again, is killed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { describeWith, perTest } from '../harness/suite.js';
import { RunningDriver } from './driver-support.js';
import { childNamed, DEADLINE_MS } from './launcher-support.js';
import { startOurs } from './peers-support.js';

describeWith([rootlesskit(2)], 'a slirp4netns that is killed', () => {
  const cleanup = perTest();

  it('is reported, and published ports go on', async () => {
    const www = temporaryFolder(cleanup);
    writeFileSync(join(www, 'index.html'), 'hello\n');
    const peer = { major: 2, net: 'slirp4netns', flags: [] } as const;
    const httpd = ['busybox', 'httpd', '-f', '-p', '80', '-h', www];
    const { program, socket } = await startOurs(cleanup, peer, httpd);
    const port = await freePort();
    const driver = new RunningDriver(program, socket);
    await driver.add({ proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 80 });

    process.kill(childNamed(childNamed(program.pid, 'rootlesskit'), 'slirp4netns'), 'SIGKILL');
    await program.line(
      / msg="slirp4netns, .* has ended: published ports go on, .*; restart rootlesskit/m,
      DEADLINE_MS,
    );
    expect(await ask({ host: '127.0.0.1', port, path: '/' })).toMatchObject({ body: 'hello\n' });
  });

  it('at the end of everything is no report', async () => {
    const peer = { major: 2, net: 'slirp4netns', flags: [] } as const;
    const { program } = await startOurs(cleanup, peer, ['sleep', 'infinity']);
    await program.end();
    expect(program.stderr).not.toContain('slirp4netns, which');
  });
});
