import { expect, test } from 'vitest';
import type { Proto } from '../../src/msg/port.js';
import { dialAddresses } from '../../src/parent/dial.js';

const V4 = '127.0.0.1';
const V6 = '::1';

const ROWS: readonly (readonly [Proto, string, string, string[]])[] = [
  // childIP as it was given, whatever the listening family.
  ['tcp', '', '10.0.2.100', ['10.0.2.100']],
  ['tcp4', '0.0.0.0', V6, [V6]],
  ['tcp6', '::', '127.0.0.2', ['127.0.0.2']],
  ['tcp', '127.0.0.2', V4, [V4]],
  // As dockerd writes an IPv4 childIP that is not loopback.
  ['tcp4', '0.0.0.0', '::ffff:10.0.2.100', ['10.0.2.100']],
  // A loopback parentIP stands for itself.
  ['tcp', '127.0.0.1', '', [V4]],
  ['tcp4', '127.0.0.2', '', ['127.0.0.2']],
  ['tcp', '127.255.255.254', '', ['127.255.255.254']],
  ['tcp4', '::ffff:127.0.0.2', '', ['127.0.0.2']],
  ['tcp', '::ffff:198.51.100.1', '', [V4]],
  ['tcp6', '::1', '', [V6, V4]],
  ['tcp', '0:0:0:0:0:0:0:1', '', [V6, V4]],
  // Any other parentIP stands for the loopback address of the child.
  ['tcp4', '198.51.100.1', '', [V4]],
  ['tcp', '198.51.100.1', '', [V4]],
  ['tcp4', '', '', [V4]],
  ['tcp4', '0.0.0.0', '', [V4]],
  // What IPv6 clients reach may be served on either.
  ['tcp6', 'fd00:1::1', '', [V4, V6]],
  ['tcp', 'fd00:1::1', '', [V4, V6]],
  ['tcp6', '64:ff9b::198.51.100.1', '', [V4, V6]],
  ['tcp', 'fe80::1%eth0', '', [V4, V6]],
  ['tcp6', '', '', [V4, V6]],
  ['tcp6', '::', '', [V4, V6]],
  ['tcp', '', '', [V4, V6]],
  ['tcp', '::', '', [V4, V6]],
  ['tcp', '0.0.0.0', '', [V4, V6]],
];

test.each(ROWS)(
  '%s on "%s" with the childIP "%s" connects to %j',
  (proto, parentIP, childIP, ips) => {
    const spec = { proto, parentIP, childIP, parentPort: 8080, childPort: 80 };
    expect(dialAddresses(spec)).toEqual(ips.map((ip) => ({ ip, port: 80 })));
  },
);

test('absent addresses mean the same as empty ones', () => {
  const spec = { proto: 'tcp', parentPort: 8080, childPort: 80 } as const;
  expect(dialAddresses(spec)).toEqual(dialAddresses({ ...spec, parentIP: '', childIP: '' }));
});
