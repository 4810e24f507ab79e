import { expect, it } from 'vitest';
import { logOptions } from '../../src/parent/log/options.js';

it('the log tells warnings as logfmt unless something else is asked for', () => {
  expect(logOptions({}, {})).toEqual({ level: 'warn', format: 'logfmt' });
});

it('the environment sets the log up, and the command line overrides it', () => {
  const env = { SLUICE_LOG_LEVEL: 'debug', SLUICE_LOG_FORMAT: 'json' };
  expect(logOptions({}, env)).toEqual({ level: 'debug', format: 'json' });
  expect(logOptions({ logLevel: 'info', logFormat: 'logfmt' }, env)).toEqual({
    level: 'info',
    format: 'logfmt',
  });
});

it('an unknown level or format is refused with what is known', () => {
  expect(() => logOptions({ logLevel: 'loud' }, {})).toThrow(
    '--log-level is "loud", expected error, warn, info, debug',
  );
  expect(() => logOptions({ logFormat: 'xml' }, {})).toThrow(
    '--log-format is "xml", expected logfmt, json',
  );
  expect(() => logOptions({}, { SLUICE_LOG_LEVEL: 'loud' })).toThrow(
    'SLUICE_LOG_LEVEL is "loud", expected error, warn, info, debug',
  );
});
