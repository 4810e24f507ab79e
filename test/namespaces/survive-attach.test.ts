/** A launcher and its driver that are both killed leave what `sluice attach` goes on with. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { start } from '../harness/processes.js';
import { rootlesskitProgram, startRootlesskit } from '../harness/rootlesskit.js';
import { commandsFolder, sluice } from '../harness/sluice.js';
import { pathWith } from '../harness/paths.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { RunningDriver } from './driver-support.js';
import { answerThrough, childNamed, DEADLINE_MS } from './launcher-support.js';
import { driverOf, isRunning } from './survive-support.js';

describeWith([rootlesskit(2)], 'sluice attach', () => {
  const cleanup = perTest();

  it.each([
    ['in one network namespace', []],
    ['with a detached one', ['--detach-netns']],
  ])('adopts the agent of a killed launcher, its ports and ids: %s', async (_, flags) => {
    const www = temporaryFolder(cleanup);
    writeFileSync(join(www, 'index.html'), 'hello\n');
    const httpd = `busybox httpd -f -p 80 -h ${www}`;
    const script = `if [ -e $ROOTLESSKIT_STATE_DIR/netns ]
      then exec nsenter --net=$ROOTLESSKIT_STATE_DIR/netns ${httpd}; else exec ${httpd}; fi`;
    const path = pathWith(commandsFolder(cleanup), dirname(rootlesskitProgram(2) ?? ''));
    const { program, socket, stateDir } = await startRootlesskit(cleanup, {
      major: 2,
      net: 'slirp4netns',
      portDriver: 'sluice',
      program: ['docker-rootlesskit'],
      flags,
      command: ['sh', '-c', script],
      env: { PATH: path },
    });
    const driver = new RunningDriver(program, socket);
    const port = await freePort();
    const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 80 } as const;
    await driver.add({ ...spec, parentPort: await freePort() });
    await driver.remove(1);
    await driver.add(spec);
    await answerThrough(program, port);
    const [agent = 0] = await driver.servingAgents();

    const real = childNamed(program.pid, 'rootlesskit');
    cleanup.defer(() => isRunning(real) && process.kill(real, 'SIGKILL'));
    const parent = driverOf(program.pid) ?? 0;
    program.signal('SIGKILL');
    await program.exit;
    process.kill(parent, 'SIGKILL');
    await until(() => !isRunning(parent), DEADLINE_MS, 'the end of the driver');
    const page = { host: '127.0.0.1', port, path: '/' };
    expect(await ask(page)).toMatchObject({ body: 'hello\n' });

    const attached = await start(cleanup, sluice('attach', '--state-dir', stateDir));
    const adopted = new RunningDriver(attached, socket);
    // rootlesskit's own API answers there for a moment before; it knows of no agents.
    const serving = async () => (await adopted.servingAgents())[0];
    await attached.until(serving, DEADLINE_MS, 'an agent of the adopted driver');
    expect(await adopted.list()).toEqual([{ id: 2, spec }]);
    expect(await adopted.servingAgents()).toEqual([agent]);
    expect(await adopted.remove(2)).toEqual({ status: 200, body: '' });
    await expect(ask(page)).rejects.toThrow('ECONNREFUSED');
    expect(await adopted.add(spec)).toEqual({ id: 3, spec });
    expect(await ask(page)).toMatchObject({ body: 'hello\n' });
    expect(attached.stderr).toBe('');

    attached.signal('SIGKILL');
    await attached.exit;
    expect(await ask(page)).toMatchObject({ body: 'hello\n' });
    process.kill(real, 'SIGTERM');
    await until(() => !isRunning(agent), DEADLINE_MS, 'the end of the agent');
  });
});
