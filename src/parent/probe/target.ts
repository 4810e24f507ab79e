/** What is to be probed: `[HOST:]PORT[/tcp|/udp|/sctp]`, IPv6 addresses in brackets. */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { SluiceError, messageOf } from '../../msg/errors.js';
import { TRANSPORTS, type Transport } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';

const TARGET =
  /^(?:(?:\[(?<inBrackets>[^\]]+)\]|(?<host>[^:[\]/]+)):)?(?<port>\d{1,5})(?:\/(?<proto>\w+))?$/;
const EXPECTED = `[HOST:]PORT[/${TRANSPORTS.join('|/')}], IPv6 addresses in brackets, for example 127.0.0.1:53/udp`;

export interface Target {
  /** A name or an address; undefined for wherever the port is published. */
  readonly host: string | undefined;
  readonly port: number;
  readonly transport: Transport;
}

/** An address of a target. */
export interface Endpoint extends Address {
  readonly transport: Transport;
}

/** TCP is meant where no protocol is named. @throws SluiceError ERR_TARGET */
export function parseTarget(text: string): Target {
  const { inBrackets, host, port = '', proto = 'tcp' } = TARGET.exec(text)?.groups ?? {};
  const transport = TRANSPORTS.find((name) => name === proto);
  const isHost = inBrackets === undefined || isIPv6(inBrackets);
  if (!isHost || transport === undefined || Number(port) < 1 || Number(port) > 65535) {
    throw new SluiceError('ERR_TARGET', `bad target ${JSON.stringify(text)}, expected ${EXPECTED}`);
  }
  return { host: inBrackets ?? host, port: Number(port), transport };
}

/** Every address of the host, in the system's order of preference. @throws SluiceError ERR_NAME */
export async function endpointsOf(target: Target): Promise<Endpoint[]> {
  const { host = '127.0.0.1', port, transport } = target;
  if (isIP(host) !== 0) {
    return [{ ip: host, port, transport }];
  }
  try {
    const addresses = await lookup(host, { all: true });
    return addresses.map(({ address }) => ({ ip: address, port, transport }));
  } catch (error) {
    const text = `${JSON.stringify(host)} has no address: ${messageOf(error)}; is the name right?`;
    throw new SluiceError('ERR_NAME', text, { cause: error });
  }
}
