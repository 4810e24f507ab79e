/** Which foreign source addresses SCTP lets a socket have: with IPv6 every one, with IPv4 none. */
import { beforeAll, expect, it } from 'vitest';
import * as linux from '../../dist/msg/linux.js';
import { OUT_MARK } from '../../dist/msg/marks.js';
import { familyOf } from '../../dist/msg/sockaddr.js';
import { setUpSourceAddressing } from '../../dist/parent/source-address/set-up.js';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import * as abi from '../harness/sctp-abi.js';
import { SctpSocket } from '../harness/sctp-socket.js';
import { SocketsInside } from '../harness/sockets-inside.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';

const { IPPROTO_IP, IPPROTO_IPV6, IP_TRANSPARENT, IPV6_TRANSPARENT } = linux;
/** In no namespace, and in no network of theirs. */
const FOREIGN = { v4: '10.1.2.3', v6: 'fd00:9::3' } as const;
const PORT = 5000;

describeWith([userNamespaces, tool('ip'), tool('nft')], 'the kernel', () => {
  const suite = perSuite();
  const test = perTest();
  let inside: SocketsInside;
  let inContainer: SocketsInside;

  beforeAll(async () => {
    const child = await makeHost(suite);
    const container = await makeClient(suite, child);
    inside = new SocketsInside(suite, child, abi.IPPROTO_SCTP);
    inContainer = new SocketsInside(suite, container, abi.IPPROTO_SCTP);
    await runIn(container, ['ip', 'route', 'add', 'default', 'via', HOST_ADDRESS.v6]);
    await setUpSourceAddressing(child);
  });

  async function unbound(sockets: SocketsInside, ip: string): Promise<SctpSocket> {
    return new SctpSocket(test, await sockets.take(familyOf(ip)));
  }

  it('connects from a foreign IPv6 address, with IPV6_TRANSPARENT and our marks', async () => {
    const server = await unbound(inContainer, CLIENT_ADDRESS.v6);
    server.bind(CLIENT_ADDRESS.v6, 80).listen(1);
    const socket = await unbound(inside, FOREIGN.v6);
    socket.setOption(IPPROTO_IPV6, IPV6_TRANSPARENT, 1);
    socket.setOption(linux.SOL_SOCKET, linux.SO_MARK, OUT_MARK);
    socket.bind(FOREIGN.v6, PORT).connect(CLIENT_ADDRESS.v6, 80);
    const accepted = await server.accept(test);
    expect(accepted.peer).toEqual({ ip: FOREIGN.v6, port: PORT });
    await accepted.deliver('and back');
    expect(String((await socket.message()).data)).toBe('and back');
  });

  it('refuses a foreign IPv4 address, even with IP_TRANSPARENT', async () => {
    const socket = (await unbound(inside, FOREIGN.v4)).setOption(IPPROTO_IP, IP_TRANSPARENT, 1);
    expect(() => socket.bind(FOREIGN.v4, PORT)).toThrow('EADDRNOTAVAIL');
  });
});
