/** The options of ours that a launcher takes: from its command line to the driver. */

import { SluiceError } from '../../msg/errors.js';
import type { DriverOptions } from '../driver.js';

/** As written, the last one of each; absent for the default. */
export interface DriverOptionTexts {
  readonly sourceIpTransparent?: string | undefined;
  readonly childHostIp?: string | undefined;
}

// strconv.ParseBool, as rootlesskit reads its flags.
const TRUE = /^(?:1|t|T|TRUE|true|True)$/;
const FALSE = /^(?:0|f|F|FALSE|false|False)$/;

/** @throws SluiceError ERR_OPTION */
export function driverOptions({
  sourceIpTransparent = 'true',
  childHostIp = 'loopback',
}: DriverOptionTexts): DriverOptions {
  if (!TRUE.test(sourceIpTransparent) && !FALSE.test(sourceIpTransparent)) {
    throw invalid('--source-ip-transparent', sourceIpTransparent, 'true or false');
  }
  if (childHostIp !== 'loopback' && childHostIp !== 'tap') {
    throw invalid('--child-host-ip', childHostIp, 'loopback or tap');
  }
  return { sourceIPTransparent: TRUE.test(sourceIpTransparent), childHostIP: childHostIp };
}

function invalid(option: string, value: string, expected: string): SluiceError {
  return new SluiceError('ERR_OPTION', `${option} is "${value}", expected ${expected}`);
}
