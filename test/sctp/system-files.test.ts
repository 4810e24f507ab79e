/** Here, where root sets fs.file-max, it can be as if all files of the system were taken. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { agentPids } from '../harness/agents.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { connect, connectSocket, unbound } from '../harness/tcp-socket.js';
import { until } from '../harness/wait.js';
import { STUCK, expectEcho, startEcho } from '../namespaces/overload-support.js';

const DEADLINE_MS = 30_000;
const CLIENTS = 100;
/** The machine lets nobody but root open a file for so many seconds as are written to it. */
const NO_FILES = '/run/no-files';
const SECONDS = 10;

describeWith([userNamespaces], 'a system without a free file', () => {
  const cleanup = perTest();

  it('lets new connections wait, goes on with the others, and serves all afterwards', async () => {
    const { program, port, old, agent } = await startEcho(cleanup);
    // What takes a file is made while there are some.
    const clients = Array.from({ length: CLIENTS }, () => unbound(cleanup));
    writeFileSync(NO_FILES, `${SECONDS}\n`);
    await until(() => openError() === 'ENFILE', DEADLINE_MS, 'a system without a free file');
    for (const client of clients) connectSocket(client, port);
    await program.line(STUCK, DEADLINE_MS);
    await expectEcho(old);
    await until(() => openError() === undefined, DEADLINE_MS, 'files');
    for (const client of clients) await expectEcho(client);
    await expectEcho(connect(cleanup, port));
    expect(agentPids()).toContain(agent);
  });
});

function openError(): string | undefined {
  try {
    closeSync(openSync('/dev/null', 'r'));
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}
