/** What the data path of UDP takes for granted of the kernel. */
import { expect, it } from 'vitest';
import { Inbox } from '../../dist/child/udp/inbox.js';
import {
  CMSG_HEADER_BYTES,
  cmsgWords,
  CONTROL_BYTES,
  IPV4,
  IPV6,
} from '../../dist/child/udp/layout.js';
import { setIntOption } from '../../dist/child/sockets.js';
import * as linux from '../../src/msg/linux.js';
import { describeWith, perTest } from '../harness/suite.js';
import { type UdpSocket, udpSocket } from '../harness/udp-socket.js';
import { until } from '../harness/wait.js';

const DEADLINE_MS = 15_000;
const inbox = new Inbox();

function receive(fd: number): Promise<number> {
  return until(() => Math.max(inbox.receive(fd), 0), DEADLINE_MS, 'a batch');
}

function reuse(socket: UdpSocket, isAllowed: boolean): void {
  setIntOption(socket.fd, linux.SOL_SOCKET, linux.SO_REUSEADDR, Number(isAllowed));
}

describeWith([], 'the kernel', () => {
  const test = perTest();

  const pair = (ip: string, family: number) => {
    const server = udpSocket(test, family).bind(ip);
    return { server, client: udpSocket(test, family).connect(ip, server.port) };
  };

  it.each([
    ['127.0.0.5', linux.AF_INET, IPV4, 1],
    ['::1', linux.AF_INET6, IPV6, 0],
  ])('says that %s was the destination', async (ip, family, { pktinfoBytes }, word) => {
    const { client, server } = pair(ip, family);
    client.send('x');
    expect(await receive(server.fd)).toBe(1);
    const at = inbox.pktinfoWords[0] ?? -1;
    const [bytes] = inbox.words.subarray(at - CMSG_HEADER_BYTES / 4);
    expect(bytes).toBe(CMSG_HEADER_BYTES + pktinfoBytes);
    const address = new Uint8Array(inbox.words.slice(at + word, at + word + 4).buffer);
    const expected = family === linux.AF_INET ? [127, 0, 0, 5] : [...new Uint8Array(15), 1];
    expect([...address.subarray(0, expected.length)]).toEqual(expected);
  });

  it('merges what it cut up, and says into which size', async () => {
    const { client, server } = pair('127.0.0.1', linux.AF_INET);
    client.send(Buffer.alloc(2500), { segment: 1000 });
    expect(await receive(server.fd)).toBe(1);
    expect([inbox.lengths[0], inbox.segments[0]]).toEqual([2500, 1000]);
    client.send(Buffer.alloc(1000), { segment: 1000 });
    expect(await receive(server.fd)).toBe(1);
    expect([inbox.lengths[0], inbox.segments[0]]).toEqual([1000, 1000]);
  });

  it('refuses segments longer than the MTU', () => {
    const { client } = pair('127.0.0.1', linux.AF_INET);
    const tooLong = client.trySend(Buffer.alloc(65_000 * 2), { segment: 65_000 });
    expect([linux.EMSGSIZE, linux.EINVAL]).toContain(tooLong);
  });

  it('tells a connected socket once that nobody listens, and sends nothing meanwhile', () => {
    const { client, server } = pair('127.0.0.1', linux.AF_INET);
    server.close();
    expect(client.trySend('lost')).toBe(4);
    expect(client.trySend('not sent')).toBe(linux.ECONNREFUSED);
    expect(client.trySend('lost too')).toBe(8);
  });

  it('never tells a socket that is not connected', async () => {
    const socket = udpSocket(test).bind('127.0.0.1');
    const gone = udpSocket(test).bind('127.0.0.1');
    const to = { ip: '127.0.0.1', port: gone.port };
    gone.close();
    for (let round = 0; round < 3; round++) expect(socket.trySend('lost', { to })).toBe(4);
    expect(inbox.receive(socket.fd)).toBe(linux.EAGAIN);
  });

  it('lets an address be bound again that its socket gives up, and by nobody else', () => {
    const [old, fresh, other] = [udpSocket(test), udpSocket(test), udpSocket(test)] as const;
    const { port } = old.bind('127.0.0.1');
    reuse(fresh, true);
    expect(() => fresh.bind('127.0.0.1', port)).toThrow('EADDRINUSE');
    reuse(old, true);
    expect(fresh.bind('127.0.0.1', port).port).toBe(port);
    reuse(fresh, false);
    reuse(other, true);
    expect(() => other.bind('127.0.0.1', port)).toThrow('EADDRINUSE');
  });

  it('writes no more control messages than there is room for', () => {
    const most = cmsgWords(IPV6.pktinfoBytes) + 2 * cmsgWords(4);
    expect(CONTROL_BYTES).toBe(most * 4);
  });
});
