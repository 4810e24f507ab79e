/** What is begun while the namespaces still get their network: the first agent, and its rules. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { PortDriverInfo } from '../../src/msg/port.js';
import { agentPids } from '../harness/agents.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit } from '../harness/needs.js';
import { which } from '../harness/paths.js';
import { freePort } from '../harness/ports.js';
import { run } from '../harness/processes.js';
import { rootlesskitProgram } from '../harness/rootlesskit.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import { programs } from './dnat-support.js';
import { answerThrough, childNamed, DEADLINE_MS, launch } from './launcher-support.js';
import { isRunning } from './survive-support.js';

/** With a detached namespace the command is in the host's network. */
const HTTPD = `cd "$0" && echo hello >index.html
  if [ -e $ROOTLESSKIT_STATE_DIR/netns ]; then enter="nsenter --net=$ROOTLESSKIT_STATE_DIR/netns"; fi
  exec $enter busybox httpd -f -p 80`;

/** What comes from us, and what nsenter says. */
const OURS = /^(?:sluice|nsenter)|app=sluice/m;

/** What the API says of the agents. */
async function agentsOf(stateDir: string): Promise<PortDriverInfo['agents']> {
  const { body } = await ask({ socketPath: join(stateDir, 'api.sock'), path: '/v1/info' });
  return (JSON.parse(body) as { portDriver: PortDriverInfo }).portDriver.agents;
}

describeWith([rootlesskit(2)], 'an agent whose namespaces have no network yet', () => {
  const cleanup = perTest();
  const real = rootlesskitProgram(2) ?? '';
  const slirp = `exec ${which('slirp4netns')} "$@"`;

  /** Starts rootlesskit with a slirp4netns that waits for `goOn`, and waits for an agent. */
  async function startHeld(flags: readonly string[] = [], last = slirp) {
    const stateDir = join(temporaryFolder(cleanup), 'state');
    const sign = join(temporaryFolder(cleanup), 'go');
    const script = `case "$*" in *--help*) ${slirp};; esac
      until [ -e ${sign} ]; do sleep 0.02; done; ${last}`;
    const { folder } = programs(cleanup, { slirp4netns: { script } });
    const port = await freePort();
    const options = [
      '--port-driver=sluice',
      `--state-dir=${stateDir}`,
      '--net=slirp4netns',
      `--slirp4netns-binary=${join(folder, 'slirp4netns')}`,
      '--copy-up=/etc',
      ...flags,
      `--publish=127.0.0.1:${port}:80/tcp`,
    ];
    const httpd = ['sh', '-c', HTTPD, temporaryFolder(cleanup)];
    const program = await launch(cleanup, ['docker-rootlesskit', ...options, ...httpd], real);
    const agent = await program.until(() => agentPids()[0], DEADLINE_MS, 'an agent');
    return { program, stateDir, port, agent, goOn: () => writeFileSync(sign, '') };
  }

  it.each([[[]], [['--detach-netns', '--copy-up=/run']]])(
    'is the one that serves (%j)',
    async (flags) => {
      const { program, stateDir, port, agent, goOn } = await startHeld(flags);
      goOn();
      expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
      const { running, restarts } = await agentsOf(stateDir);
      expect({ pid: running[0]?.pid, restarts }).toEqual({ pid: agent, restarts: 0 });
    },
  );

  it("finds the rules for clients' addresses there already", async () => {
    const { program, port, goOn } = await startHeld();
    const child = childNamed(childNamed(program.pid, 'rootlesskit'), 'exe');
    const inside = ['nsenter', '--preserve-credentials', '--user', '--net', `--target=${child}`];
    const list = [...inside, '/usr/sbin/nft', 'list', 'tables'];
    const hasRules = async () => (await run(list)).includes('table inet sluice');
    expect(await program.until(hasRules, DEADLINE_MS, 'the rules')).toBe(true);
    goOn();
    expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
  });

  it('and is killed has a successor, and that is all', async () => {
    const { program, stateDir, port, agent, goOn } = await startHeld();
    process.kill(agent, 'SIGKILL');
    goOn();
    expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
    const { running, restarts } = await agentsOf(stateDir);
    expect(running.map(({ pid }) => pid)).not.toContain(agent);
    expect(restarts).toBe(0);
    expect(program.stderr).not.toMatch(OURS);
  });

  it('ends when they never get one, and rootlesskit alone says why', async () => {
    const { program, agent, goOn } = await startHeld([], 'exit 1');
    goOn();
    expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
    expect(program.stderr).toContain('slirp4netns failed');
    expect(program.stderr).not.toMatch(OURS);
    expect(isRunning(agent)).toBe(false);
  });

  it('ends when the launcher is killed', async () => {
    const { program, agent } = await startHeld();
    const namespaces = childNamed(program.pid, 'rootlesskit');
    cleanup.defer(() => process.kill(namespaces, 'SIGKILL'));
    program.signal('SIGKILL');
    expect(await until(() => !isRunning(agent), DEADLINE_MS, 'its end')).toBe(true);
  });
});
