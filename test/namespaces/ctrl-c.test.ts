/** Ctrl-C, on a terminal: whatever runs ends, and nothing of it is left. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { pathWith, which } from '../harness/paths.js';
import { assertFree, freePort } from '../harness/ports.js';
import { commandsFolder, sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { CTRL_C, startTerminal, type Terminal } from '../harness/terminal.js';
import { until } from '../harness/wait.js';
import { outputOf } from '../unit/support/cli.js';

const DEADLINE_MS = 20_000;
/** 128 and the number of SIGINT. */
const INTERRUPTED = { status: '130', files: [], processes: [] };

describeWith([userNamespaces, tool('script')], 'Ctrl-C', () => {
  const cleanup = perTest();
  let home: string;
  /** Where sockets and temporary folders go. */
  let runtime: string;
  let tools: string;
  let terminal: Terminal;

  beforeEach(async () => {
    home = temporaryFolder(cleanup);
    [runtime, tools] = [join(home, 'run'), join(home, 'tools')];
    for (const folder of [runtime, tools]) mkdirSync(folder);
    writeFileSync(join(home, '.bashrc'), "PS1='ready> '; export CTRL_C_TEST=$PWD");
    const path = [tools, commandsFolder(cleanup), pathWith()].join(delimiter);
    const env = { HOME: home, XDG_RUNTIME_DIR: runtime, TMPDIR: runtime, PATH: path };
    const command = 'bash --noprofile --rcfile .bashrc -i';
    terminal = await startTerminal(cleanup, command, { cwd: home, env });
  });

  /** The exit status, and what is left. */
  async function interrupted(): Promise<object> {
    terminal.press(CTRL_C);
    const status = await terminal.lineOf('$?');
    await until(() => left().length === 0, DEADLINE_MS, 'no processes').catch(() => {});
    return { status, files: readdirSync(runtime, { recursive: true }), processes: left() };
  }

  /** Processes that were started from the terminal. */
  function left(): string[] {
    const mark = `CTRL_C_TEST=${home}`;
    return readdirSync('/proc').flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark)) return [];
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return [];
      }
    });
  }

  it('ends sluice run, its command and its driver', async () => {
    const port = await freePort();
    const inside = 'sh -c "echo in\\side; exec sleep 60"';
    await terminal.type(`sluice run -p ${port}:80/tcp -- ${inside}\n`);
    await terminal.shows(/^inside$/m);
    expect(readdirSync(runtime)).toHaveLength(1);
    expect(await interrupted()).toEqual(INTERRUPTED);
    await assertFree(port);
  });

  it('ends sluice run while it starts', async () => {
    await terminal.type(`sluice run -p ${await freePort()}:80/tcp -- sleep 60\n`);
    await until(() => readdirSync(runtime).length > 0, DEADLINE_MS, 'the state directory');
    expect(await interrupted()).toEqual(INTERRUPTED);
  });

  it('ends sluice probe while it waits for an answer', async () => {
    const server = createSocket('udp4').bind(0, '127.0.0.1');
    cleanup.defer(() => server.close());
    await once(server, 'listening');
    const asked = once(server, 'message');
    await terminal.type(`sluice probe --timeout 60 127.0.0.1:${server.address().port}/udp\n`);
    await asked;
    expect(await interrupted()).toEqual(INTERRUPTED);
  });

  it('ends sluice doctor and what it asks', async () => {
    const script = '#!/bin/sh\ntouch "$HOME/asked"; exec sleep 60\n';
    writeFileSync(join(tools, 'rootlesskit'), script, { mode: 0o755 });
    await terminal.type('sluice doctor\n');
    await until(() => existsSync(join(home, 'asked')), DEADLINE_MS, 'a check that hangs');
    expect(await interrupted()).toEqual(INTERRUPTED);
  });
});

/** Sends SIGINT at the first of these system calls, before it is done. */
function interruptedAt(calls: string, trace: string): string[] {
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:signal=SIGINT:when=1`];
  return ['strace', '-f', '-qqq', '-o', trace, ...inject];
}

describeWith([userNamespaces, tool('strace'), tool('rootlesskit')], 'Ctrl-C in the middle', () => {
  const cleanup = perTest();
  let home: string;
  let env: Readonly<Record<string, string | undefined>>;

  beforeEach(() => {
    home = temporaryFolder(cleanup);
    const unset = { XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined };
    env = { HOME: home, XDG_RUNTIME_DIR: join(home, 'run'), ...unset };
    mkdirSync(join(home, 'run'));
  });

  it('of sluice install: it is made whole', async () => {
    const trace = join(home, 'trace');
    const command = sluice('install', 'docker');
    const strace = interruptedAt('symlink,symlinkat', trace);
    expect(await outputOf([...strace, ...command], { env })).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(trace, 'utf8')).toContain('SIGINT');
    expect((await outputOf(command, { env })).stdout).toContain('set up for sluice already');
  });

  it('of the start of sluice run: its state directory is gone', async () => {
    const trace = join(home, 'trace');
    const command = sluice('run', '--', 'sleep', '60');
    const { code } = await outputOf([...interruptedAt('mkdir', trace), ...command], { env });
    expect(code).toBe(130);
    expect(readFileSync(trace, 'utf8')).toMatch(/sluice-run-[^]*SIGINT/);
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });

  it('of the set-up of the namespaces: no tool that it ended is blamed', async () => {
    const tools = join(home, 'tools');
    mkdirSync(tools);
    // Both are there when the launcher looks, and the shell that the signal goes on to is not over.
    const script = `#!/bin/sh
      case "$*" in *loopback*) ;; *) exec ${which('nsenter')} "$@" ;; esac
      kill -STOP "$PPID"; kill -INT "$PPID"
      (sleep 0.2; kill -CONT "$PPID") >/dev/null 2>&1 &
      exit 1`;
    writeFileSync(join(tools, 'nsenter'), script, { mode: 0o755 });
    const command = sluice('run', '--', 'sleep', '60');
    const path = { ...env, PATH: [tools, pathWith()].join(delimiter) };
    expect(await outputOf(command, { env: path })).toMatchObject({ code: 130, stderr: '' });
    expect(readdirSync(join(home, 'run'))).toEqual([]);
  });
});
