import { describe, expect, it } from 'vitest';
import { isAboutFirewall, isAboutRouting } from '../../src/parent/source-address/netlink.js';

const [RTM_NEWLINK, RTM_DELROUTE, RTM_DELRULE, RTM_NEWADDR] = [16, 25, 33, 20];
const [RTA_OIF, RTA_TABLE] = [4, 15];
const OURS = 0x534c;

function message(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, body]);
}

function attribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(8, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}

const route = (table: number) =>
  message(
    RTM_DELROUTE,
    Buffer.concat([Buffer.alloc(12), attribute(RTA_OIF, OURS), attribute(RTA_TABLE, table)]),
  );
const link = (index: number) => {
  const body = Buffer.alloc(16);
  body.writeInt32LE(index, 4);
  return message(RTM_NEWLINK, body);
};

describe('a message of netlink', () => {
  it.each([
    ['a policy rule', message(RTM_DELRULE, Buffer.alloc(12)), true],
    ['a route of our table', route(OURS), true],
    ['a route of another table', route(254), false],
    ['lo', link(1), true],
    ['another device', link(7), false],
    ['an address', message(RTM_NEWADDR, Buffer.alloc(8)), false],
    ['two, of which the second is ours', Buffer.concat([link(7), route(OURS)]), true],
    ['one that was cut short', route(254).subarray(0, 20), true],
    ['one of no length', Buffer.alloc(16), true],
    ['none', Buffer.alloc(0), false],
  ])('about %s is told from others', (_, bytes, isOurs) => {
    expect(isAboutRouting(bytes)).toBe(isOurs);
  });

  it('about our table or chains is told by their names', () => {
    for (const name of ['sluice\0', 'SLUICE-OUTPUT\0']) {
      expect(isAboutFirewall(Buffer.from(`....${name}..`))).toBe(true);
    }
    expect(isAboutFirewall(Buffer.from('....docker\0'))).toBe(false);
  });
});
