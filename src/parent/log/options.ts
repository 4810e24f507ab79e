/** How a driver logs: from the command line or the environment. */
import { SluiceError } from '../../msg/errors.js';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export const LOG_FORMATS = ['logfmt', 'json'] as const;

export interface LogOptions {
  /** Default: warn, which is silent on a healthy day. */
  readonly level?: (typeof LOG_LEVELS)[number];
  /** Default: logfmt. */
  readonly format?: (typeof LOG_FORMATS)[number];
}

/** As written; absent ones are looked up in the environment. */
export interface LogOptionTexts {
  readonly logLevel?: string | undefined;
  readonly logFormat?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws SluiceError ERR_OPTION */
export function logOptions(texts: LogOptionTexts, env: Environment = process.env): LogOptions {
  const { SLUICE_LOG_LEVEL: level, SLUICE_LOG_FORMAT: format } = env;
  return {
    level:
      oneOf(LOG_LEVELS, '--log-level', texts.logLevel) ??
      oneOf(LOG_LEVELS, 'SLUICE_LOG_LEVEL', level) ??
      'warn',
    format:
      oneOf(LOG_FORMATS, '--log-format', texts.logFormat) ??
      oneOf(LOG_FORMATS, 'SLUICE_LOG_FORMAT', format) ??
      'logfmt',
  };
}

/** Undefined for what is absent or empty. */
function oneOf<T extends string>(
  allowed: readonly T[],
  name: string,
  text: string | undefined,
): T | undefined {
  if (text === undefined || text === '') return undefined;
  const found = allowed.find((one) => one === text);
  if (found !== undefined) return found;
  throw new SluiceError('ERR_OPTION', `${name} is "${text}", expected ${allowed.join(', ')}`);
}
