/** probe: what the host sees of each address of the target, and what is seen inside. */
import { readFileSync } from 'node:fs';
import { SluiceError, messageOf } from '../../msg/errors.js';
import { createApiClient } from '../api/client.js';
import { describe } from '../probe/describe.js';
import { isOfThisHost, publishedAt } from '../probe/published.js';
import { isGood, type ProbeOptions } from '../probe/result.js';
import { type Endpoint, endpointsOf, parseTarget, type Target } from '../probe/target.js';
import { type Driver, readDriver, viewOf } from '../probe/view.js';
import { anySocketOf, type SocketOptions } from './socket.js';

const DEFAULT_TIMEOUT_S = 2;
const MAX_TIMEOUT_S = 3600;

export interface ProbeCommandOptions extends SocketOptions {
  readonly text?: string;
  readonly hex?: string;
  readonly file?: string;
  /** Seconds. */
  readonly timeout?: string;
  readonly json?: true;
}

/**
 * Resolves with the exit code: 0 when an address answered, as a client that tries all would see.
 * What is seen from the host is printed even where there is no looking inside.
 */
export async function showProbe(text: string, options: ProbeCommandOptions): Promise<number> {
  const target = parseTarget(text);
  const payload = payloadOf(options);
  const probeOptions: ProbeOptions = {
    timeoutMs: timeoutMsOf(options),
    ...(payload !== undefined && { payload }),
  };
  const failures: unknown[] = [];
  const fail = (error: unknown) => void failures.push(error);
  const { endpoints, driver } = await findTarget(target, options, fail);
  const views = await Promise.all(
    endpoints.map((endpoint) => viewOf(endpoint, probeOptions, driver, fail)),
  );
  for (const view of views) {
    const line = options.json ? JSON.stringify(view) : describe(view, probeOptions);
    process.stdout.write(`${line}\n`);
  }
  if (failures.length > 0) throw failures[0];
  return views.some((view) => isGood(view) && view.reason === undefined) ? 0 : 1;
}

interface Found {
  readonly endpoints: readonly Endpoint[];
  readonly driver?: Driver | undefined;
}

async function findTarget(
  target: Target,
  options: SocketOptions,
  onFailure: (error: unknown) => void,
): Promise<Found> {
  const socket = await anySocketOf(options);
  const endpoints = await endpointsOf(target);
  if (socket === undefined || !endpoints.some(isOfThisHost)) return { endpoints };
  try {
    const driver = await readDriver(createApiClient(socket));
    const published = target.host === undefined ? publishedAt(driver?.ports ?? [], target) : [];
    return { endpoints: published.length > 0 ? published : endpoints, driver };
  } catch (error) {
    onFailure(error);
    return { endpoints };
  }
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
