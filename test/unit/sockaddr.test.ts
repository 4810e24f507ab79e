import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fd, must } from '../../src/msg/fd.js';
import * as libc from '../../src/msg/libc.js';
import * as linux from '../../src/msg/linux.js';
import {
  decodeSockAddr,
  encodeSockAddr,
  familyOf,
  packSockAddr,
  SOCKADDR_IN6_BYTES,
  unpackSockAddr,
} from '../../src/msg/sockaddr.js';

test.each([
  [{ ip: '127.0.0.2', port: 80 }, 0, '02000050 7f000002 0000000000000000'],
  [{ ip: '::1', port: 65535 }, 0, '0a00ffff 00000000 00000000000000000000000000000001 00000000'],
  [
    { ip: 'fe80::2%eth0', port: 256 },
    7,
    '0a000100 00000000 fe800000000000000000000000000002 07000000',
  ],
])('%j with the scope %i has the bytes that the kernel wants', (address, scope, hex) => {
  expect(Buffer.from(encodeSockAddr(address, scope)).toString('hex')).toBe(hex.replaceAll(' ', ''));
});

test('any address comes back as it went in, packed or not', () => {
  const address = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.nat(65535) });
  fc.assert(
    fc.property(address, ({ ip, port }) => {
      const bytes = encodeSockAddr({ ip, port });
      const decoded = decodeSockAddr(new DataView(bytes.buffer));
      expect(decoded.port).toBe(port);
      expect(familyOf(decoded.ip)).toBe(familyOf(ip));
      expect(encodeSockAddr(decoded)).toEqual(bytes);
      expect(Uint8Array.from(unpackSockAddr(packSockAddr(bytes)))).toEqual(bytes);
    }),
  );
});

test('an address is read where the view begins, not where its memory does', () => {
  const memory = new Uint8Array(64);
  memory.set(encodeSockAddr({ ip: '198.51.100.7', port: 443 }), 32);
  const view = new DataView(memory.buffer, 32);
  expect(decodeSockAddr(view)).toEqual({ ip: '198.51.100.7', port: 443 });
});

test.each(['127.0.0.3', '::1'])('the kernel binds %s and gives it back', (ip) => {
  const { address, bytes, view } = libc.allocate(4096);
  using socket = new Fd(must(libc.socket(familyOf(ip), linux.SOCK_STREAM, 0), 'socket'));
  const sockaddr = encodeSockAddr({ ip, port: 0 });
  bytes.set(sockaddr);
  must(libc.bind(socket.number, address, sockaddr.length), 'bind');
  view.setUint32(64, SOCKADDR_IN6_BYTES, true);
  must(libc.getsockname(socket.number, address, address + 64), 'getsockname');
  const bound = decodeSockAddr(view);
  expect(bound.ip).toBe(ip);
  expect(bound.port).toBeGreaterThan(0);
});
