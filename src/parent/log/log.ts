/** The log of a driver: a line for each event that its level lets through. */
import { type DriverEvent, EVENT_LEVELS, type Level, levelOf, textOf } from '../events/event.js';
import { formatPortSpec } from '../../msg/spec.js';
import { logfmt } from './logfmt.js';
import { LOG_LEVELS, type LogOptions } from './options.js';
import { isJournal, journalPrefix, writeLine } from './output.js';
import { RateLimit } from './rate-limit.js';

/** What a line tells beside its level, time and text. */
type Fields = Readonly<Record<string, unknown>>;

export class Log {
  readonly #level: Level;
  readonly #format: NonNullable<LogOptions['format']>;
  readonly #limit = new RateLimit<DriverEvent['type']>((type, lines) =>
    this.#tellHeldBack(type, lines),
  );

  constructor({ level = 'warn', format = 'logfmt' }: LogOptions = {}) {
    this.#level = level;
    this.#format = format;
  }

  event(event: DriverEvent): void {
    const level = levelOf(event);
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

  #write(level: Level, fields: Fields, msg: string): void {
    const toJournal = isJournal(process.env);
    // The journal has the time itself.
    const time = toJournal ? {} : { time: new Date().toISOString() };
    const all = { level, ...time, app: 'sluice', ...fields, msg };
    const line = this.#format === 'json' ? JSON.stringify(all) : logfmt(all);
    writeLine(toJournal ? journalPrefix(level) + line : line);
  }
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
