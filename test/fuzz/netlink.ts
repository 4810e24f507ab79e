/** Messages of the kernel, which have to be read whatever they are: nothing is thrown, and it ends. */
import * as fc from 'fast-check';
import { isAboutFirewall, isAboutRouting } from '../../src/parent/source-address/netlink.js';
import { must, targetOf } from './target.js';

const header = fc
  .tuple(fc.integer({ min: 0, max: 80 }), fc.integer({ min: 14, max: 40 }), fc.uint8Array())
  .map(([length, type, body]) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(length, 0);
    bytes.writeUInt16LE(type, 4);
    return Buffer.concat([bytes, body]);
  });
const messages = fc
  .array(fc.oneof(header, fc.uint8Array()))
  .map((parts) => Buffer.concat(parts.map((part) => Buffer.from(part))));

export const netlink = targetOf('netlink messages', messages, (bytes) => {
  must(typeof isAboutRouting(bytes) === 'boolean', 'no answer about routing');
  must(typeof isAboutFirewall(bytes) === 'boolean', 'no answer about the firewall');
});
