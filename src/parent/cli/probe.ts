/** probe: one line for each address of the target. */
import { readFileSync } from 'node:fs';
import { SluiceError, messageOf } from '../../msg/errors.js';
import { probe } from '../probe/probe.js';
import { describe, isGood, type ProbeOptions } from '../probe/result.js';
import { endpointsOf, parseTarget } from '../probe/target.js';

const DEFAULT_TIMEOUT_S = 2;
const MAX_TIMEOUT_S = 3600;

export interface ProbeCommandOptions {
  readonly text?: string;
  readonly hex?: string;
  readonly file?: string;
  /** Seconds. */
  readonly timeout?: string;
  readonly json?: true;
}

/** Resolves with the exit code: 0 when an address answered, as a client that tries all would see. */
export async function showProbe(text: string, options: ProbeCommandOptions): Promise<number> {
  const target = parseTarget(text);
  const payload = payloadOf(options);
  const probeOptions: ProbeOptions = {
    timeoutMs: timeoutMsOf(options),
    ...(payload !== undefined && { payload }),
  };
  const endpoints = await endpointsOf(target);
  const results = await Promise.all(endpoints.map((endpoint) => probe(endpoint, probeOptions)));
  for (const result of results) {
    const line = options.json ? JSON.stringify(result) : describe(result, probeOptions);
    process.stdout.write(`${line}\n`);
  }
  return results.some(isGood) ? 0 : 1;
}

function payloadOf({ text, hex, file }: ProbeCommandOptions): Buffer | undefined {
  if (text !== undefined) return Buffer.from(text);
  if (hex !== undefined) return bytesOf(hex);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError('ERR_PAYLOAD', `cannot read the payload: ${messageOf(error)}`);
  }
}

function bytesOf(hex: string): Buffer {
  const digits = hex.replaceAll(/[\s:]/g, '');
  if (/^(?:[\da-f]{2})*$/i.test(digits)) return Buffer.from(digits, 'hex');
  const text = `bad --hex ${JSON.stringify(hex)}, expected pairs of hexadecimal digits, such as "01 ff"`;
  throw new SluiceError('ERR_PAYLOAD', text);
}

function timeoutMsOf({ timeout = String(DEFAULT_TIMEOUT_S) }: ProbeCommandOptions): number {
  const seconds = /^\d+(?:\.\d+)?$/.test(timeout) ? Number(timeout) : 0;
  if (seconds >= 0.001 && seconds <= MAX_TIMEOUT_S) return Math.round(seconds * 1000);
  const text = `bad --timeout ${JSON.stringify(timeout)}, expected seconds from 0.001 to ${MAX_TIMEOUT_S}`;
  throw new SluiceError('ERR_USAGE', text);
}
