/** Errors that only a machine at its end gives: strace has the kernel give them to a running agent. */
import { expect, it } from 'vitest';
import { agentPids } from '../harness/agents.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { type Program, start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { connect } from '../harness/tcp-socket.js';
import { STUCK, expectEcho, startEcho } from './overload-support.js';

const DEADLINE_MS = 30_000;

describeWith([userNamespaces, tool('strace')], 'an agent that the kernel refuses', () => {
  const cleanup = perTest();

  it.each([
    ['ENFILE', /1 because the system has no file left/],
    ['ENOBUFS', /1 because it is short of memory/],
    ['ENOMEM', /1 because it is short of memory/],
  ])(
    'by %s keeps what it has, tells of the rest, and serves all afterwards',
    async (error, shed) => {
      const { program, port, old, agent } = await startEcho(cleanup);
      const noAccept = await inject(agent, 'accept4', error);
      const waiting = connect(cleanup, port);
      await program.line(STUCK, DEADLINE_MS);
      await expectEcho(old);
      await noAccept.end();
      await expectEcho(waiting);

      const noSocket = await inject(agent, 'socket', error);
      expect((await connect(cleanup, port).outcome()).end).toBe('ECONNRESET');
      await program.line(shed, DEADLINE_MS);
      await expectEcho(old);
      await noSocket.end();
      await expectEcho(connect(cleanup, port));
      expect(agentPids()).toContain(agent);
    },
  );

  /** From now on, until the end of the program that is returned, `call` fails. */
  async function inject(agent: number, call: string, error: string): Promise<Program> {
    const fault = `--inject=${call}:error=${error}`;
    const strace = await start(cleanup, ['strace', `--attach=${agent}`, fault]);
    await strace.line(/attached/, DEADLINE_MS);
    return strace;
  }
});
