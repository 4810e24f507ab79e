/**
 * The log of a driver: a line for each event that its level lets through. pino is loaded with the
 * first line: on a healthy day there is none.
 */
import { createRequire } from 'node:module';
import type { Logger, pino as Pino } from 'pino';
import { type DriverEvent, EVENT_LEVELS, type Level, textOf } from '../events/event.js';
import { formatPortSpec } from '../../msg/spec.js';
import { logfmt } from './logfmt.js';
import { LOG_LEVELS, type LogOptions } from './options.js';
import { isJournal, journalPrefix, writeLine } from './output.js';
import { RateLimit } from './rate-limit.js';

const require = createRequire(import.meta.url);

/** What a line tells beside its text; all of pino's own is there as well. */
type Fields = Readonly<Record<string, unknown>>;

export class Log {
  readonly #level: Level;
  readonly #format: NonNullable<LogOptions['format']>;
  readonly #limit = new RateLimit<DriverEvent['type']>((type, lines) =>
    this.#tellHeldBack(type, lines),
  );
  #logger: Logger | undefined;

  constructor({ level = 'warn', format = 'logfmt' }: LogOptions = {}) {
    this.#level = level;
    this.#format = format;
  }

  event(event: DriverEvent): void {
    const level = EVENT_LEVELS[event.type];
    if (!this.#tells(level) || !this.#limit.admits(event.type)) return;
    this.#write(level, contextOf(event), textOf(event));
  }

  /** Tells what the rate limit has held back so far. */
  flush(): void {
    this.#limit.flush();
  }

  #tellHeldBack(type: DriverEvent['type'], lines: number): void {
    this.#write(EVENT_LEVELS[type], { event: type }, `${lines} more of these were not logged`);
  }

  #tells(level: Level): boolean {
    return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(this.#level);
  }

  #write(level: Level, fields: Fields, text: string): void {
    this.#logger ??= createLogger(this.#level, this.#format);
    this.#logger[level](fields, text);
  }
}

function createLogger(level: Level, format: 'logfmt' | 'json'): Logger {
  const { pino } = require('pino') as { pino: typeof Pino };
  const toJournal = isJournal(process.env);
  return pino(
    {
      level,
      base: { app: 'sluice' },
      timestamp: toJournal ? false : pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (json) => writeLine(lineOf(json, format, toJournal)) },
  );
}

function lineOf(json: string, format: 'logfmt' | 'json', toJournal: boolean): string {
  const fields = JSON.parse(json) as Fields & { readonly level: Level };
  const line = format === 'json' ? json.trimEnd() : logfmt(fields);
  return toJournal ? journalPrefix(fields.level) + line : line;
}

/** Keys for programs to search by; a spec in the form of the command line. */
function contextOf({ type, ...rest }: DriverEvent): Fields {
  const { reason: _, ...context }: Fields & { readonly reason?: string } = rest;
  return {
    event: type,
    ...context,
    ...('spec' in rest && { spec: formatPortSpec(rest.spec) }),
  };
}
