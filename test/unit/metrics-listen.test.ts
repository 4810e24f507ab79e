import { expect, it } from 'vitest';
import { parseMetricsListen } from '../../src/parent/metrics/listen.js';

it('metrics are served on a loopback address and port', () => {
  expect(parseMetricsListen('127.0.0.1:9464')).toEqual({ ip: '127.0.0.1', port: 9464 });
  expect(parseMetricsListen('127.0.0.9:0')).toEqual({ ip: '127.0.0.9', port: 0 });
  expect(parseMetricsListen('[::1]:9464')).toEqual({ ip: '::1', port: 9464 });
  expect(parseMetricsListen(undefined)).toBeUndefined();
});

it.each(['0.0.0.0:9464', '[::]:9464', '198.51.100.1:9464', ':9464', '9464', 'localhost:9464'])(
  'metrics are not served on %s',
  (text) => {
    expect(() => parseMetricsListen(text)).toThrow(
      `--metrics-listen is "${text}", expected a loopback address and a port, as in 127.0.0.1:9464 or [::1]:9464`,
    );
  },
);

it.each(['127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '::1:9464', '[127.0.0.1]:9464', '[::1]'])(
  'metrics are not served on %s, which is no address and port',
  (text) => {
    expect(() => parseMetricsListen(text)).toThrow('expected a loopback address and a port');
  },
);
