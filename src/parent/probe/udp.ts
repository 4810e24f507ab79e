/**
 * A probe by one datagram, from two sockets on one local port. The connected one gets what comes
 * from the endpoint itself, and the ICMP errors, which the kernel tells to connected sockets alone;
 * the other one gets answers that come from anywhere else.
 */
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { DgramAsPromised, type IncomingPacket, TimeoutError } from 'dgram-as-promised';
import { SluiceError } from '../../msg/errors.js';
import type { Address } from '../../msg/sockaddr.js';
import { type Finding, type ProbeOptions, type Verdict, verdictOf } from './result.js';

/** 65535 less the headers of UDP and, over IPv4, of IP. */
const MAX_PAYLOAD_BYTES = { udp4: 65507, udp6: 65527 } as const;

/**
 * A question that any DNS server answers, and an echo server too: the name servers of the root, as
 * a recursive query with the id 0x736c (RFC 1035, section 4.1).
 */
const DEFAULT_PAYLOAD = Buffer.from('736c010000010000000000000000020001', 'hex');

const as = (verdict: Verdict) => (packet?: IncomingPacket) => ({ packet, verdict });

export async function probeUdp(to: Address, options: ProbeOptions): Promise<Finding> {
  const { payload = DEFAULT_PAYLOAD, timeoutMs } = options;
  const type = isIPv6(to.ip) ? 'udp6' : 'udp4';
  if (payload.length > MAX_PAYLOAD_BYTES[type]) {
    const text = `a payload of ${payload.length} bytes fits no datagram, which holds at most ${MAX_PAYLOAD_BYTES[type]} bytes to ${to.ip}`;
    throw new SluiceError('ERR_PAYLOAD', text);
  }
  const connected = DgramAsPromised.createSocket({ type, reuseAddr: true });
  const open = DgramAsPromised.createSocket({ type, reuseAddr: true });
  const startedAt = performance.now();
  const found = (verdict: Verdict) => ({ verdict, ms: performance.now() - startedAt });
  try {
    const { port } = await open.bind();
    await connected.bind(port);
    connected.socket.connect(to.port, to.ip);
    await once(connected.socket, 'connect');
    // An answer that comes while nobody waits for it is lost, so waiting begins with the sending.
    const [{ packet, verdict }] = await Promise.all([
      Promise.race([
        connected.setTimeout(timeoutMs).recv().then(as('answered')),
        open.recv().then(as('astray')),
      ]),
      open.send(Buffer.from(payload), to.port, to.ip),
    ]);
    const { msg, rinfo } = packet as IncomingPacket;
    const from = { ip: rinfo.address, port: rinfo.port };
    return { ...found(verdict), bytes: msg.length, from };
  } catch (error) {
    if (error instanceof TimeoutError) return found('silent');
    const { code: errno = '' } = error as NodeJS.ErrnoException;
    const verdict = verdictOf(errno);
    if (verdict === undefined) throw error;
    return { ...found(verdict), errno };
  } finally {
    await Promise.all([connected.close(), open.close()]);
  }
}
