/** What an agent may do, and what may be done to it. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { capabilities } from '../../src/parent/agent-command.js';
import { AGENT_FDS } from '../../src/parent/agent-fds.js';
import { agentPids } from '../harness/agents.js';
import { type Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { sluiceOptions, startDocker } from '../harness/docker.js';
import { docker, type Need, rootlesskit, tool, userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startForwarding } from '../harness/tcp-forwarding.js';
import { until } from '../harness/wait.js';
import { RunningDriver } from './driver-support.js';
import { startOurs } from './peers-support.js';

const DEADLINE_MS = 20_000;
/** linux/capability.h */
const BITS: Readonly<Record<string, number>> = {
  net_bind_service: 10,
  net_admin: 12,
  net_raw: 13,
};
const RIGHTS = /^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs):\t(\w+)$/gm;

/** Of every thread: they are kept for each of them. */
function rightsOf(pid: number): Record<string, number>[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    const fields = [...status.matchAll(RIGHTS)].map(
      ([, name = '', hex = '']) => [name, Number.parseInt(hex, 16)] as const,
    );
    return Object.fromEntries(fields);
  });
}

/** What `rightsOf` a thread should be. */
function rightsWith(capabilityNames: readonly string[]): Record<string, number> {
  const kept = capabilityNames.reduce((mask, name) => mask | (1 << (BITS[name] ?? 0)), 0);
  return { CapInh: 0, CapPrm: kept, CapEff: kept, CapBnd: kept, CapAmb: 0, NoNewPrivs: 1 };
}

/** The serving one and its spare one. */
async function bothAgents(): Promise<number[]> {
  await until(() => agentPids().length === 2, DEADLINE_MS, 'two agents');
  return agentPids();
}

function takeFd(fd: number): string {
  return `exec perl -e '
    my $pidfd = syscall(434, $ARGV[0] + 0, 0); $pidfd >= 0 or die "pidfd_open: $!";
    syscall(438, $pidfd, ${fd}, 0) >= 0 or die "pidfd_getfd: $!"' "$0"`;
}

/** What another process tries; $0 is the agent's process id. System calls by asm-generic/unistd.h. */
const LOOKS: Readonly<Record<string, string>> = {
  'what its fds are': `exec perl -e 'readlink("/proc/$ARGV[0]/fd/3") or die $!' "$0"`,
  'its control socket': takeFd(AGENT_FDS.fd),
  'its door': takeFd(AGENT_FDS.doorOutside),
  memory: `exec perl -e 'open(my $memory, "<", "/proc/$ARGV[0]/mem") or die $!' "$0"`,
  environment: 'cat "/proc/$0/environ" >/dev/null',
};

const COMMAND = ['sh', '-c', 'echo ready; exec sleep infinity'];

const WAYS: readonly {
  name: string;
  needs: readonly Need[];
  start(cleanup: Cleanup, ...flags: string[]): Promise<unknown>;
}[] = [
  {
    name: 'sluice run',
    needs: [userNamespaces],
    start: async (cleanup, ...flags) => {
      const program = await start(cleanup, sluice('run', ...flags, '--', ...COMMAND));
      await program.line(/ready/, DEADLINE_MS);
    },
  },
  {
    name: 'rootlesskit',
    needs: [rootlesskit(2)],
    start: (cleanup, ...flags) =>
      startOurs(cleanup, { major: 2, net: 'slirp4netns', flags }, COMMAND),
  },
  {
    name: 'rootless Docker',
    needs: [docker],
    start: (cleanup, ...rootlesskitFlags) =>
      startDocker(cleanup, { ...sluiceOptions(cleanup), rootlesskitFlags }),
  },
];

for (const way of WAYS) {
  describeWith([...way.needs, tool('setpriv')], `the agent of ${way.name}`, () => {
    const cleanup = perTest();

    it('has the capabilities to stand for clients, and can gain no other', async () => {
      await way.start(cleanup);
      const threads = (await bothAgents()).flatMap(rightsOf);
      expect(threads).toEqual(threads.map(() => rightsWith(capabilities(true))));
    });

    it('has no capability without source addresses', async () => {
      await way.start(cleanup, '--source-ip-transparent=false');
      const threads = (await bothAgents()).flatMap(rightsOf);
      expect(threads).toEqual(threads.map(() => rightsWith([])));
    });
  });
}

describeWith([userNamespaces, tool('setpriv'), tool('perl')], 'an agent', () => {
  const cleanup = perTest();

  it('inherits no file but its standard ones, the socket to its parent, its door and its life', async () => {
    const folder = temporaryFolder(cleanup);
    const script = 'exec 9<"$0"; exec "$@"';
    const run = sluice('run', '--state-dir', folder, '--', ...COMMAND);
    const program = await start(cleanup, ['sh', '-c', script, folder, ...run]);
    await program.line(/ready/, DEADLINE_MS);
    const driver = new RunningDriver(program, join(folder, 'api.sock'));
    for (const pid of [...(await driver.servingAgents()), await driver.spareAgent()]) {
      const numbers = readdirSync(`/proc/${pid}/fd`).toSorted((a, b) => Number(a) - Number(b));
      const targets = numbers.map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      const inherited = AGENT_FDS.life + 1;
      const [stdin, stdout, , ...own] = targets.slice(0, inherited);
      expect([stdin, stdout]).toEqual(['/dev/null', '/dev/null']);
      const socket = expect.stringMatching(/^socket:/) as string;
      expect(own).toEqual([socket, socket, socket, 'anon_inode:[pidfd]']);
      // The rest is Node's own.
      for (const target of targets.slice(inherited)) {
        expect(target).toMatch(/^(anon_inode:|pipe:|\/dev\/null$)/);
      }
    }
    expect(readlinkSync(`/proc/${program.pid}/fd/9`)).toBe(folder);
  });

  // As from a container that sees the host's processes: its root is the same user.
  it('keeps its sockets and its memory from processes next to it', async () => {
    const forwarding = await startForwarding(cleanup);
    const look = (what: string, pid: number) =>
      forwarding.run([
        'setpriv',
        '--bounding-set=-sys_ptrace',
        'sh',
        '-c',
        LOOKS[what] ?? '',
        `${pid}`,
      ]);
    // The looks work on a process that could have been the agent.
    const idle = 'exec 3</dev/null 5</dev/null; echo ready; exec sleep infinity';
    const victim = await forwarding.start(cleanup, [
      'setpriv',
      '--bounding-set=-all',
      'sh',
      '-c',
      idle,
    ]);
    await victim.line(/ready/, DEADLINE_MS);
    for (const what of Object.keys(LOOKS)) {
      await look(what, victim.pid);
      await expect(look(what, forwarding.agent.pid)).rejects.toThrow(
        /Permission denied|Operation not permitted/,
      );
    }
  });
});
