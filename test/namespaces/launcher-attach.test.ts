import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { ask } from '../harness/http.js';
import { rootlesskit } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { type Program, start } from '../harness/processes.js';
import { type RootlesskitOptions, startRootlesskit } from '../harness/rootlesskit.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { answerThrough, DEADLINE_MS } from './launcher-support.js';

async function call(socketPath: string, path: string, method = 'GET', body?: object) {
  const answer = await ask({ socketPath, path, method }, JSON.stringify(body));
  return answer.body === '' ? undefined : (JSON.parse(answer.body) as unknown);
}

/** Waits until the API is of that driver. */
async function served(program: Program, socket: string, driver: string | undefined) {
  await program.until(
    async () => {
      const info = (await call(socket, '/v1/info')) as { portDriver?: { driver: string } };
      return info.portDriver?.driver === driver;
    },
    DEADLINE_MS,
    `the API of port driver ${driver}`,
  );
}

for (const major of [1, 2] as const) {
  describeWith([rootlesskit(major)], `sluice attach to rootlesskit ${major}`, () => {
    const cleanup = perTest();

    /** A rootlesskit with a web server on port 80. */
    async function startWeb(options: Partial<RootlesskitOptions>) {
      const www = temporaryFolder(cleanup);
      writeFileSync(join(www, 'index.html'), 'hello\n');
      const httpd = `busybox httpd -f -p 80 -h ${www}`;
      const script = `if [ -e $ROOTLESSKIT_STATE_DIR/netns ]
        then exec nsenter --net=$ROOTLESSKIT_STATE_DIR/netns ${httpd}; else exec ${httpd}; fi`;
      return startRootlesskit(cleanup, {
        major,
        net: 'slirp4netns',
        portDriver: 'builtin',
        command: ['sh', '-c', script],
        ...options,
      });
    }

    const attach = (stateDir: string) => start(cleanup, sluice('attach', '--state-dir', stateDir));

    it("takes over builtin's ports with their ids, and gives them back", async () => {
      const port = await freePort();
      const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 80 };
      const { program, socket, stateDir } = await startWeb({});
      await call(socket, '/v1/ports', 'POST', { ...spec, parentPort: await freePort() });
      await call(socket, '/v1/ports/1', 'DELETE');
      await call(socket, '/v1/ports', 'POST', spec);

      const attached = await attach(stateDir);
      await served(attached, socket, 'sluice');
      expect(await call(socket, '/v1/ports')).toEqual([{ id: 2, spec }]);
      expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });

      attached.signal('SIGTERM');
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
      await served(program, socket, 'builtin');
      expect(await call(socket, '/v1/ports')).toMatchObject([{ spec }]);
      expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
      expect(readdirSync(stateDir)).not.toContain('rlk.sock');
    });

    const variants = [
      ['none', []],
      ['a PID namespace', ['--pidns']],
      ...(major === 1 ? [] : [['a detached network namespace', ['--detach-netns']] as const]),
    ] as const;
    it.each(variants)('serves a rootlesskit without port driver: %s', async (_, flags) => {
      const port = await freePort();
      const { program, socket, stateDir } = await startWeb({ portDriver: 'none', flags });
      const attached = await attach(stateDir);
      await served(attached, socket, 'sluice');
      const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: port, childPort: 80 };
      expect(await call(socket, '/v1/ports', 'POST', spec)).toEqual({ id: 1, spec });
      expect(await answerThrough(program, port)).toMatchObject({ body: 'hello\n' });
      attached.signal('SIGINT');
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
      expect(await call(socket, '/v1/info')).not.toHaveProperty('portDriver');
    });

    it.each(['SIGTERM', 'SIGKILL'] as const)(
      'ends with a rootlesskit that is sent %s',
      async (signal) => {
        const { program, socket, stateDir } = await startWeb({});
        const attached = await attach(stateDir);
        await served(attached, socket, 'sluice');
        program.signal(signal);
        expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
        expect(attached.stderr).toBe('');
        await program.exited(DEADLINE_MS);
        const names = existsSync(stateDir) ? readdirSync(stateDir) : [];
        expect(names).not.toContain('api.sock');
        expect(names).not.toContain('rlk.sock');
      },
    );

    it('gives everything back when it can not serve', async () => {
      const spec = {
        proto: 'tcp',
        parentIP: '127.0.0.1',
        parentPort: await freePort(),
        childPort: 80,
        childIP: 'fe80::1',
      };
      const { socket, stateDir } = await startWeb({});
      await call(socket, '/v1/ports', 'POST', spec);
      const attached = await attach(stateDir);
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
      expect(attached.stderr).toContain('invalid childIP: "fe80::1"');
      expect(await call(socket, '/v1/ports')).toMatchObject([{ spec }]);
      expect(await call(socket, '/v1/info')).toMatchObject({ portDriver: { driver: 'builtin' } });
    });

    it('takes over from a sluice that was killed', async () => {
      const { socket, stateDir } = await startWeb({ portDriver: 'none' });
      const killed = await attach(stateDir);
      await served(killed, socket, 'sluice');
      killed.signal('SIGKILL');
      await killed.exited(DEADLINE_MS);
      const attached = await attach(stateDir);
      await served(attached, socket, 'sluice');
      attached.signal('SIGTERM');
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 0, signal: null });
      expect(await call(socket, '/v1/info')).not.toHaveProperty('portDriver');
    });

    it('refuses a second one', async () => {
      const { socket, stateDir } = await startWeb({});
      await served(await attach(stateDir), socket, 'sluice');
      const second = await attach(stateDir);
      expect(await second.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
      expect(second.stderr).toBe(
        `sluice: a sluice serves ${stateDir} already; end that one first if you want another\n`,
      );
    });

    it('says that a rootlesskit is dead', async () => {
      const { program, stateDir } = await startWeb({});
      program.signal('SIGKILL');
      await program.exited(DEADLINE_MS);
      const attached = await attach(stateDir);
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
      expect(attached.stderr).toBe(
        `sluice: ${stateDir} is what a dead rootlesskit left: nobody answers on ${stateDir}/api.sock; start rootlesskit again, or give the state directory of a running one\n`,
      );
    });

    it('says that there is no rootlesskit', async () => {
      const stateDir = temporaryFolder(cleanup);
      const attached = await attach(stateDir);
      expect(await attached.exited(DEADLINE_MS)).toEqual({ code: 1, signal: null });
      expect(attached.stderr).toBe(
        `sluice: ${stateDir} is not the state directory of a running rootlesskit: its file child_pid is missing\n`,
      );
    });
  });
}
