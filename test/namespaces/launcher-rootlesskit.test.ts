import { existsSync, readdirSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import type { StartOptions } from '../harness/processes.js';
import { rootlesskitProgram } from '../harness/rootlesskit.js';
import { describeWith, perTest } from '../harness/suite.js';
import { answerThrough, childNamed, DEADLINE_MS, launch } from './launcher-support.js';

const NET = ['--net=slirp4netns', '--disable-host-loopback', '--copy-up=/etc'];

/** Shell commands that show what a program inherits; the sorted environment without "_". */
const INHERITED = `env | grep -v '^_=' | sort; grep -E 'Sig(Blk|Ign)' /proc/self/status;
  ulimit -Sn; ulimit -Hn; echo "args $0 $*"; cat`;

/** Without what differs from one run of rootlesskit to the next. */
function alike(text: string): string {
  return text.replaceAll(
    /^_?ROOTLESSKIT_(STATE_DIR|REEXEC).*$|(?<=^(?:PATH|TMPDIR)=)[^:\n]*/gm,
    '',
  );
}

/** Waits for SIGTERM or the like, counts them for another second, then ends with code 6. */
const COUNTING = `i=; trap 'echo got; i=\${i:-0}' TERM INT HUP QUIT USR1 USR2; echo ready
  until [ "$i" ]; do sleep 0.1; done
  while [ $i -lt 10 ]; do sleep 0.1; i=$((i+1)); done; exit 6`;

for (const major of [1, 2] as const) {
  describeWith([rootlesskit(major)], `rootlesskit ${major} under our name`, () => {
    const cleanup = perTest();
    const real = rootlesskitProgram(major) ?? '';

    const alone = (args: readonly string[], options?: StartOptions) =>
      launch(cleanup, [real, '--port-driver=none', ...NET, ...args], real, options);
    const ours = (args: readonly string[], options?: StartOptions) =>
      launch(
        cleanup,
        ['docker-rootlesskit', '--port-driver=sluice', ...NET, ...args],
        real,
        options,
      );

    describe('without --port-driver=sluice', () => {
      it.each([
        [['--version']],
        [['--help']],
        [['--nosuch']],
        [['--port-driver=bogus', 'true']],
        [[]],
      ])('hands %j through', async (args) => {
        const theirs = await launch(cleanup, [real, ...args], real);
        const passed = await launch(cleanup, ['docker-rootlesskit', ...args], real);
        expect(await passed.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
        expect(passed.stdout).toBe(theirs.stdout);
        expect(passed.stderr).toBe(theirs.stderr);
      });

      it('becomes the real rootlesskit, with everything it was given', async () => {
        const args = ['sh', '-c', INHERITED, 'name', 'a b', '', '$x', '--port-driver=sluice'];
        const options = { input: 'standard input\n' };
        const theirs = await launch(cleanup, [real, ...args], real, options);
        const passed = await launch(cleanup, ['docker-rootlesskit', ...args], real, options);
        expect(await passed.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
        expect(alike(passed.stdout)).toBe(alike(theirs.stdout));
      });

      it('replaces itself, so that there is one process less', async () => {
        const passed = await launch(cleanup, ['docker-rootlesskit', 'sleep', '60'], real);
        const program = () => readlinkSync(`/proc/${passed.pid}/exe`);
        const isReal = () => program() === realpathSync(real);
        expect(await passed.until(isReal, DEADLINE_MS, 'execve')).toBe(true);
      });
    });

    describe('with --port-driver=sluice', () => {
      it('publishes the ports of -p and the API before the command starts', async () => {
        const port = await freePort();
        const script = `rootlessctl --socket $ROOTLESSKIT_STATE_DIR/api.sock list-ports
          rootlessctl --socket $ROOTLESSKIT_STATE_DIR/api.sock info
          mkdir $0 && echo hello >$0/index.html && exec busybox httpd -f -p 80 -h $0`;
        const www = join(temporaryFolder(cleanup), 'www');
        const program = await ours(['-p', `127.0.0.1:${port}:80/tcp`, 'sh', '-c', script, www]);
        expect(await answerThrough(program, port)).toEqual({ status: 200, body: 'hello\n' });
        expect(program.stdout).toMatch(new RegExp(`1 +tcp +127.0.0.1 +${port} +80`));
        expect(program.stdout).toContain('Port Driver: sluice');
        expect(program.stdout).toContain('IP: 10.0.2.100');
        await program.end();
      });

      it('lets the command inherit what it inherits from rootlesskit', async () => {
        const args = ['sh', '-c', INHERITED, 'name', 'a b', '', '$x', '-p', '--port-driver=none'];
        const options = {
          input: 'standard input\n',
          // Node.js warns of certificates that are not there.
          env: { NOTIFY_SOCKET: '/run/notify', f: 'x', NODE_EXTRA_CA_CERTS: '/nonexistent' },
        };
        const theirs = await alone(args, options);
        const program = await ours(args, options);
        expect(await program.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
        expect(alike(program.stdout)).toBe(alike(theirs.stdout));
        expect(program.stderr).not.toContain('certs');
        expect(program.stdout).toContain('NOTIFY_SOCKET=/run/notify');
        expect(program.stdout).toContain('args name a b  $x -p --port-driver=none\nstandard input');
      });

      it("gives the command rootlesskit's limit of open files", async () => {
        const limited = ['sh', '-c', 'ulimit -Sn 1000; "$@"; exit $?', 'sh'];
        const args = [...NET, 'sh', '-c', 'ulimit -Sn; ulimit -Hn'];
        const theirs = await launch(cleanup, [...limited, real, ...args], real);
        const command = [...limited, 'docker-rootlesskit', '--port-driver=sluice', ...args];
        const program = await launch(cleanup, command, real);
        expect(await program.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
        expect(program.stdout).toBe(theirs.stdout);
      });

      it.each([
        ['succeeds', ['true']],
        ['fails', ['sh', '-c', 'exit 42']],
        ['is killed', ['sh', '-c', 'kill -9 $$']],
        ['does not exist', ['nonexistent-command']],
        ['is no program', ['/etc/passwd']],
      ])("ends with rootlesskit's exit code when the command %s", async (_, command) => {
        const theirs = await alone(command);
        const program = await ours(command);
        expect(await program.exited(DEADLINE_MS)).toEqual(await theirs.exited(DEADLINE_MS));
      });

      it.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const)(
        'passes %s on to the command, once',
        async (signal) => {
          const program = await ours(['sh', '-c', COUNTING]);
          await program.line(/ready/, DEADLINE_MS);
          program.signal(signal);
          expect(await program.exited(DEADLINE_MS)).toEqual({ code: 6, signal: null });
          expect(program.stdout.match(/got/g)).toEqual(['got']);
        },
      );

      it('ends with 255, as rootlesskit does, when the command dies of the signal', async () => {
        const program = await ours(['sh', '-c', 'echo ready; exec sleep 60']);
        await program.line(/ready/, DEADLINE_MS);
        program.signal('SIGTERM');
        expect(await program.exited(DEADLINE_MS)).toEqual({ code: 255, signal: null });
      });

      it.each([
        ['SIGTERM', 255, []],
        ['SIGKILL', 137, ['child_pid', 'lock']],
      ] as const)('ends with a rootlesskit that is sent %s', async (signal, code, left) => {
        const stateDir = join(temporaryFolder(cleanup), 'state');
        const port = await freePort();
        const program = await ours([
          `--state-dir=${stateDir}`,
          `--publish=127.0.0.1:${port}:80/tcp`,
          'sh',
          '-c',
          'echo ready; exec sleep 60',
        ]);
        await program.line(/ready/, DEADLINE_MS);
        process.kill(childNamed(program.pid, 'rootlesskit'), signal);
        expect(await program.exited(DEADLINE_MS)).toEqual({ code, signal: null });
        const others = ['hosts', 'resolv.conf'];
        const files = existsSync(stateDir) ? readdirSync(stateDir) : [];
        expect(files.filter((name) => !others.includes(name)).toSorted()).toEqual(left);
        await expect(ask({ host: '127.0.0.1', port })).rejects.toThrow('ECONNREFUSED');
      });

      it('leaves nothing behind in the folder for temporary files', async () => {
        const folder = temporaryFolder(cleanup);
        const env = { TMPDIR: folder };
        const shown = await ours(['sh', '-c', 'echo $ROOTLESSKIT_STATE_DIR'], { env });
        const refused = await ours(['--net=bogus', 'true'], { env });
        await shown.exited(DEADLINE_MS);
        await refused.exited(DEADLINE_MS);
        expect(shown.stdout).toMatch(new RegExp(`^${folder}/rootlesskit\\w+\n$`));
        expect(readdirSync(folder)).toEqual([]);
      });

      it('does not start the command when a port can not be opened', async () => {
        const stateDir = join(temporaryFolder(cleanup), 'state');
        const program = await ours([
          `--state-dir=${stateDir}`,
          '--publish=127.0.0.1:1:80/tcp',
          'echo',
          'started',
        ]);
        expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
        // The reason first: rootlesskit can only tell of the shell that waited.
        expect(program.stderr).toMatch(
          /^(?:WARNING.*\n)?sluice: cannot listen on 127\.0\.0\.1:1\/tcp/,
        );
        expect(program.stderr.match(/cannot listen/g)).toHaveLength(1);
        expect(program.stdout).toBe('');
        expect(existsSync(stateDir)).toBe(false);
      });

      it.each([
        [
          ['--net=host', 'true'],
          'port driver requires non-host network, and the network is "host"',
        ],
        [['-p', 'foo', 'true'], 'bad port spec "foo"'],
        [['--state-dir=/', 'true'], 'the state directory / belongs to user 0, and this is user'],
        [[], 'no command specified'],
      ])('refuses %j in plain words', async (args, message) => {
        const program = await ours(args);
        expect(await program.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
        expect(program.stderr).toContain(message);
      });

      it('leaves the state directory of a running rootlesskit alone', async () => {
        const stateDir = join(temporaryFolder(cleanup), 'state');
        const command = ['sh', '-c', 'echo ready; exec sleep 60'];
        const first = await ours([`--state-dir=${stateDir}`, ...command]);
        await first.line(/ready/, DEADLINE_MS);
        const second = await ours([`--state-dir=${stateDir}`, ...command]);
        expect(await second.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
        expect(second.stderr).toContain(
          'another RootlessKit is running with the same state directory',
        );
        const info = await ask({ socketPath: join(stateDir, 'api.sock'), path: '/v1/info' });
        expect(JSON.parse(info.body)).toMatchObject({ portDriver: { driver: 'sluice' } });
      });

      it('adds a note on itself to the help', async () => {
        const program = await ours(['--help']);
        expect(await program.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
        expect(program.stdout).toContain('--copy-up value');
        expect(program.stdout).toContain('With --port-driver=sluice');
      });

      const variants = [
        ['a PID namespace', ['--pidns']],
        ['copied-up /run', ['--copy-up=/run', '--propagation=rslave']],
        ['separate values', ['--mtu', '1500', '-debug=false', '--cidr', '10.0.2.0/24']],
        ...(major === 1
          ? []
          : [
              ['a detached network namespace', ['--detach-netns', '--copy-up=/run']] as const,
              ['pasta', ['--net=pasta']] as const,
            ]),
      ] as const;
      it.each(variants)('works with %s', async (_, flags) => {
        const port = await freePort();
        const www = temporaryFolder(cleanup);
        writeFileSync(join(www, 'index.html'), 'hello\n');
        const httpd = `busybox httpd -f -p 80 -h ${www}`;
        // With a detached namespace the command is in the host's network.
        const script = `if [ -e $ROOTLESSKIT_STATE_DIR/netns ]
          then exec nsenter --net=$ROOTLESSKIT_STATE_DIR/netns ${httpd}; else exec ${httpd}; fi`;
        const program = await ours([
          ...flags,
          '-p',
          `127.0.0.1:${port}:80/tcp`,
          'sh',
          '-c',
          script,
        ]);
        expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
        await program.end();
      });
    });
  });
}
