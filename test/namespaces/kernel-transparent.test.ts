/** What source addresses take for granted about sockets, so that a kernel that differs says where. */
import { beforeAll, expect, it } from 'vitest';
import { setUpSourceAddressing } from '../../src/parent/source-address/set-up.js';
import { HOST_ADDRESS, type Namespace } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite } from '../harness/suite.js';
import {
  attempt,
  CLIENT,
  connectFrom,
  CONTAINER,
  LOOPBACK,
  makeChild,
  OTHER_PORT,
  PORT,
} from './kernel-transparent-support.js';

describeWith([userNamespaces, tool('ip'), tool('nft')], 'the kernel', () => {
  const suite = perSuite();
  let child: Namespace;

  beforeAll(async () => {
    ({ child } = await makeChild(suite));
    await setUpSourceAddressing(child);
  });

  it('binds to the address of somebody else only with IP_TRANSPARENT', async () => {
    const without = 'IP_TRANSPARENT';
    expect(
      await connectFrom(child, [
        attempt(CLIENT.v4, CONTAINER.v4, { without }),
        attempt(CLIENT.v6, CONTAINER.v6, { without }),
        attempt(CLIENT.v4, CONTAINER.v4),
        attempt(CLIENT.v6, CONTAINER.v6),
      ]),
    ).toEqual(['bind EADDRNOTAVAIL', 'bind EADDRNOTAVAIL', '10.1.2.3 5000', 'fd00:9::3 5000']);
  });

  it('lets a client port below 1024 be used', async () => {
    const [answer] = await connectFrom(child, [
      attempt(CLIENT.v4, CONTAINER.v4, { sourcePort: 111 }),
    ]);
    expect(answer).toBe('10.1.2.3 111');
  });

  it('lets one source address and port be used towards two servers, with SO_REUSEADDR', async () => {
    const hold = { sourcePort: 5001, hold: true };
    expect(
      await connectFrom(child, [
        attempt(CLIENT.v4, CONTAINER.v4, hold),
        attempt(CLIENT.v4, CONTAINER.v4, { ...hold, serverPort: OTHER_PORT }),
        attempt(CLIENT.v4, LOOPBACK.v4, hold),
        attempt(CLIENT.v4, LOOPBACK.v4, { ...hold, without: 'SO_REUSEADDR', serverPort: PORT }),
      ]),
    ).toEqual(['10.1.2.3 5001', '10.1.2.3 5001', '10.1.2.3 5001', 'bind EADDRINUSE']);
  });

  it('refuses a connection that exists with EADDRNOTAVAIL, and finds a port for port 0', async () => {
    const again = attempt(CLIENT.v4, CONTAINER.v4, { sourcePort: 5002, hold: true });
    const [first, second, third] = await connectFrom(child, [
      again,
      again,
      attempt(CLIENT.v4, CONTAINER.v4, { sourcePort: 0 }),
    ]);
    expect([first, second]).toEqual(['10.1.2.3 5002', 'connect EADDRNOTAVAIL']);
    expect(third).toMatch(/^10\.1\.2\.3 \d+$/);
  });

  it('lets a source port be used again at once after we were the first to close', async () => {
    const again = attempt(CLIENT.v4, CONTAINER.v4, { sourcePort: 5003 });
    const local = attempt(CLIENT.v4, LOOPBACK.v4, { sourcePort: 5004 });
    expect(await connectFrom(child, [again, local, again, local])).toEqual([
      '10.1.2.3 5003',
      '10.1.2.3 5004',
      '10.1.2.3 5003',
      '10.1.2.3 5004',
    ]);
  });

  it('refuses the port of a listener on an address of its own with EADDRINUSE', async () => {
    const listening = attempt(HOST_ADDRESS.v4, CONTAINER.v4, { sourcePort: PORT });
    expect(await connectFrom(child, [listening])).toEqual(['bind EADDRINUSE']);
  });

  it('refuses a link-local address without its interface with EINVAL', async () => {
    expect(await connectFrom(child, [attempt('fe80::3', CONTAINER.v6)])).toEqual(['bind EINVAL']);
  });
});
