/** Where metrics are served beside the API: a loopback address, for a Prometheus on this machine. */
import { isIP } from 'node:net';
import { SluiceError } from '../../msg/errors.js';
import { isLoopback } from '../dial.js';

export interface TcpAddress {
  readonly ip: string;
  /** 0 to 65535, where 0 is any free one. */
  readonly port: number;
}

const FORM = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/;
const MAX_PORT = 65535;

/**
 * Parses `ADDR:PORT`, an IPv6 address in brackets; undefined stays undefined.
 *
 * @throws SluiceError ERR_OPTION, for an address that is not a loopback one as well: whoever can
 *   reach it may read what is served there.
 */
export function parseMetricsListen(text: string | undefined): TcpAddress | undefined {
  if (text === undefined) return undefined;
  const [, ipv6, ipv4 = '', digits = ''] = FORM.exec(text) ?? [];
  const ip = ipv6 ?? ipv4;
  const port = Number(digits);
  const isAddress = isIP(ip) === (ipv6 === undefined ? 4 : 6);
  if (digits === '' || !isAddress || port > MAX_PORT || !isLoopback(ip)) {
    throw new SluiceError(
      'ERR_OPTION',
      `--metrics-listen is "${text}", expected a loopback address and a port, as in 127.0.0.1:9464 or [::1]:9464`,
    );
  }
  return { ip, port };
}
