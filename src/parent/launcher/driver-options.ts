/** The options of ours that a launcher takes: from its command line to the driver. */

import { SluiceError } from '../../msg/errors.js';
import { MAX_AGENTS } from '../agent-count.js';
import { DEFAULT_UDP_TIMEOUTS, MAX_UDP_TIMEOUT_MS } from '../../msg/udp-timeouts.js';
import type { SourceIP } from '../agent-place.js';
import type { DriverOptions } from '../driver.js';

/** As written, the last one of each; absent for the default. */
export interface DriverOptionTexts {
  readonly sourceIp?: string | undefined;
  readonly sourceIpTransparent?: string | undefined;
  readonly childHostIp?: string | undefined;
  readonly udpTimeout?: string | undefined;
  readonly udpTimeoutStream?: string | undefined;
  readonly agents?: string | undefined;
  readonly maxFlows?: string | undefined;
  readonly maxFlowsPerPort?: string | undefined;
}

const SOURCE_IPS: readonly SourceIP[] = ['keep', 'require', 'off'];

// strconv.ParseBool, as rootlesskit reads its flags.
const TRUE = /^(?:1|t|T|TRUE|true|True)$/;
const FALSE = /^(?:0|f|F|FALSE|false|False)$/;

/** @throws SluiceError ERR_OPTION */
export function driverOptions({
  sourceIp,
  sourceIpTransparent = 'true',
  childHostIp = 'loopback',
  udpTimeout,
  udpTimeoutStream,
  agents,
  maxFlows,
  maxFlowsPerPort,
}: DriverOptionTexts): DriverOptions {
  if (!TRUE.test(sourceIpTransparent) && !FALSE.test(sourceIpTransparent)) {
    throw invalid('--source-ip-transparent', sourceIpTransparent, 'true or false');
  }
  if (childHostIp !== 'loopback' && childHostIp !== 'tap') {
    throw invalid('--child-host-ip', childHostIp, 'loopback or tap');
  }
  const { unrepliedMs, repliedMs } = DEFAULT_UDP_TIMEOUTS;
  return {
    sourceIP: sourceIPFrom(sourceIp, TRUE.test(sourceIpTransparent)),
    childHostIP: childHostIp,
    udpTimeouts: {
      unrepliedMs: milliseconds('--udp-timeout', udpTimeout, unrepliedMs),
      repliedMs: milliseconds('--udp-timeout-stream', udpTimeoutStream, repliedMs),
    },
    ...(agents !== undefined && { agents: agentsFrom(agents) }),
    ...(maxFlows !== undefined && { maxFlows: limit('--max-flows', maxFlows) }),
    ...(maxFlowsPerPort !== undefined && {
      maxFlowsPerPort: limit('--max-flows-per-port', maxFlowsPerPort),
    }),
  };
}

function sourceIPFrom(text: string | undefined, isTransparent: boolean): SourceIP {
  if (text === undefined) return isTransparent ? 'keep' : 'off';
  const expected = isTransparent ? SOURCE_IPS : (['off'] as const);
  const known = expected.find((one) => one === text);
  if (known !== undefined) return known;
  const beside = isTransparent ? '' : ' beside --source-ip-transparent=false';
  throw invalid('--source-ip', text, `${expected.join(', ')}${beside}`);
}

/** Of a number of seconds, as conntrack's settings of these names are. */
function milliseconds(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const most = MAX_UDP_TIMEOUT_MS / 1000;
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= most) return seconds * 1000;
  throw invalid(option, text, `a number of seconds from 1 to ${most}`);
}

function agentsFrom(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MAX_AGENTS) return count;
  throw invalid('--agents', text, `a whole number from 1 to ${MAX_AGENTS}`);
}

function limit(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw invalid(option, text, 'a whole number from 1 to 999999999');
}

function invalid(option: string, value: string, expected: string): SluiceError {
  return new SluiceError('ERR_OPTION', `${option} is "${value}", expected ${expected}`);
}
