/** Whether SCTP is on offer is up to the kernel: both answers are tested, each where it is due. */
import { beforeAll, expect, it } from 'vitest';
import * as libc from '../../dist/msg/libc.js';
import { AF_INET, IPPROTO_SCTP, SOCK_STREAM } from '../../dist/msg/linux.js';
import { createApiClient } from '../../dist/parent/api/client.js';
import { type Namespace, enter, makeHost } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { type RunningDriver, startDriver } from './driver-support.js';

const DEADLINE_MS = 30_000;
const PROTOS = ['sctp', 'sctp4', 'sctp6'] as const;

function kernelHasSctp(): boolean {
  const fd = libc.socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
  if (fd >= 0) libc.close(fd);
  return fd >= 0;
}

function refusal(proto: string): string {
  return `protocol ${proto} is not supported by this kernel; load its module with \`sudo modprobe sctp\` and start the driver again`;
}

describeWith([userNamespaces, tool('ip')], 'SCTP', () => {
  const suite = perSuite();
  const test = perTest();
  let host: Namespace;
  let driver: RunningDriver;

  beforeAll(async () => {
    host = await makeHost(suite);
    const command = ['sh', '-c', 'echo serving; exec sleep infinity'];
    driver = await startDriver(suite, host, { command });
  });

  it('is among the protocols exactly where the kernel has it', async () => {
    const { portDriver } = await createApiClient(driver.socketPath).info();
    const listed = portDriver?.protos?.filter((proto) => proto.startsWith('sctp'));
    expect(listed).toEqual(kernelHasSctp() ? PROTOS : []);
  });

  it.each(PROTOS)('as %s, is published or refused by the API', async (proto) => {
    const parentIP = proto === 'sctp6' ? '::1' : '127.0.0.1';
    const answer = await driver.post({ proto, parentIP, parentPort: 36412, childPort: 36412 });
    const refused = { status: 400, body: JSON.stringify({ message: refusal(proto) }) };
    const published = { status: 201, body: expect.stringContaining(proto) as string };
    expect(answer).toMatchObject(kernelHasSctp() ? published : refused);
    await driver.removeAll();
  });

  it('is published or refused on the command line, before the command runs', async () => {
    const spec = '127.0.0.1:2905:2905/sctp';
    const command = sluice('run', '-p', spec, '--', 'echo', 'it runs');
    const program = await start(test, enter(host, ...command));
    const { code } = await program.exited(DEADLINE_MS);
    const refused = {
      code: 1,
      stdout: '',
      stderr: expect.stringContaining(refusal('sctp')) as string,
    };
    const published = { code: 0, stdout: 'it runs\n', stderr: '' };
    const { stdout, stderr } = program;
    expect({ code, stdout, stderr }).toEqual(kernelHasSctp() ? published : refused);
  });
});
