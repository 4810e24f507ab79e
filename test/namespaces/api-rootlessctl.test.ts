/** rootlesskit's own client with the API of a running driver. */
import { beforeAll, expect, it } from 'vitest';
import { type Namespace, makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { DOCKER_PATH, which } from '../harness/paths.js';
import { start } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { type RunningDriver, answersTo, startDriver } from './driver-support.js';

const DEADLINE_MS = 15_000;

/** 1.1.0 is Debian 12's, 2.0.2 comes with the unpacked Docker. */
const PROGRAMS = [
  ['1.1.0', which('rootlessctl')],
  ['2.0.2', which('rootlessctl', DOCKER_PATH.join(':'))],
] as const;

for (const [version, rootlessctl] of PROGRAMS) {
  const found = () => (rootlessctl === undefined ? `rootlessctl ${version}` : undefined);

  describeWith([userNamespaces, found], `rootlessctl ${version} with a running driver`, () => {
    const cleanup = perSuite();
    let host: Namespace;
    let driver: RunningDriver;

    beforeAll(async () => {
      host = await makeHost(cleanup);
      const endpoints = [
        ['127.0.0.1', 80],
        ['::1', 80],
      ] as const;
      driver = await startDriver(cleanup, host, { endpoints });
    });

    async function call(...args: readonly string[]) {
      const command = [rootlessctl ?? '', '--socket', driver.socketPath, ...args];
      const program = await start(cleanup, command);
      const { code } = await program.exited(DEADLINE_MS);
      return { code, stdout: program.stdout, stderr: program.stderr };
    }

    it('adds, lists and removes ports, and connections go through meanwhile', async () => {
      const specs = ['127.0.0.1:8080:80/tcp', '[::1]:8080:[::1]:80/tcp6', '0.0.0.0:8081:80/tcp'];
      expect(await call('add-ports', ...specs)).toEqual({
        code: 0,
        stdout: '1\n2\n3\n',
        stderr: '',
      });
      const list = (await call('list-ports', '--json')).stdout.trim().split('\n');
      expect(list.map((line) => JSON.parse(line) as unknown)).toEqual(await driver.list());
      const endpoints = [
        ['127.0.0.1', 8080],
        ['::1', 8080],
        ['127.0.0.1', 8081],
        ['::1', 8081],
      ] as const;
      const answers = ['127.0.0.1 80', '::1 80', '127.0.0.1 80', '127.0.0.1 80'];
      expect(await answersTo(host, endpoints)).toEqual(answers);
      expect(await call('remove-ports', '1', '2', '3')).toEqual({
        code: 0,
        stdout: '1\n2\n3\n',
        stderr: '',
      });
      expect(await answersTo(host, endpoints)).toEqual(Array(4).fill('ECONNREFUSED'));
    });

    it.each([
      [['add-ports', '198.51.100.77:9000:80/tcp'], '198.51.100.77 is not an address of this host'],
      [['remove-ports', '77'], 'there is no port with ID 77; list-ports shows them'],
    ])('says what was refused: %s', async (args, message) => {
      const { code, stderr } = await call(...args);
      expect(code).toBe(1);
      expect(stderr).toContain(message);
    });

    it('says which port is in the way', async () => {
      await call('add-ports', '0.0.0.0:9000:80/tcp');
      const [{ id } = { id: 0 }] = await driver.list();
      const { code, stderr } = await call('add-ports', '127.0.0.1:9000:81/tcp4');
      expect(code).toBe(1);
      expect(stderr).toContain(`conflict with ID ${id}`);
      await driver.removeAll();
    });

    it('shows our driver', async () => {
      const { code, stdout } = await call('info', '--json');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        networkDriver: { driver: 'none' },
        portDriver: {
          driver: 'sluice',
          protos: expect.arrayContaining(['tcp', 'udp4']) as string[],
        },
      });
    });
  });
}
