import { describe, expect, it } from 'vitest';
import { driverOptions } from '../../src/parent/launcher/driver-options.js';

describe('the options of the driver', () => {
  it('keep source addresses, use loopback and have time limits when none is given', () => {
    const defaults = {
      sourceIP: 'keep',
      childHostIP: 'loopback',
      udpTimeouts: { unrepliedMs: 30_000, repliedMs: 180_000 },
    };
    expect(driverOptions({})).toEqual(defaults);
    expect(driverOptions({ sourceIpTransparent: undefined, childHostIp: undefined })).toEqual(
      defaults,
    );
  });

  it.each(['1', 't', 'T', 'true', 'TRUE', 'True'])('take %s for true', (sourceIpTransparent) => {
    expect(driverOptions({ sourceIpTransparent }).sourceIP).toBe('keep');
  });

  it.each(['0', 'f', 'F', 'false', 'FALSE', 'False'])(
    'take %s for false',
    (sourceIpTransparent) => {
      expect(driverOptions({ sourceIpTransparent }).sourceIP).toBe('off');
    },
  );

  it.each(['', ' ', 'yes', 'no', 'tRUE', '2', 'true\n'])(
    'take %j neither for true nor for false',
    (sourceIpTransparent) => {
      expect(() => driverOptions({ sourceIpTransparent })).toThrow(
        expect.objectContaining({
          code: 'ERR_OPTION',
          message: `--source-ip-transparent is "${sourceIpTransparent}", expected true or false`,
        }),
      );
    },
  );

  it.each(['keep', 'require', 'off'] as const)('take --source-ip=%s', (sourceIp) => {
    expect(driverOptions({ sourceIp }).sourceIP).toBe(sourceIp);
  });

  it.each([
    ['maybe', undefined, '"maybe", expected keep, require, off'],
    ['', undefined, '"", expected keep, require, off'],
    ['require', 'false', '"require", expected off beside --source-ip-transparent=false'],
  ])('refuse --source-ip=%s with --source-ip-transparent=%s', (sourceIp, transparent, text) => {
    const options = { sourceIp, sourceIpTransparent: transparent };
    expect(() => driverOptions(options)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION', message: `--source-ip is ${text}` }),
    );
  });

  it('take limits of flows', () => {
    expect(driverOptions({ maxFlows: '1', maxFlowsPerPort: '999999999' })).toMatchObject({
      maxFlows: 1,
      maxFlowsPerPort: 999_999_999,
    });
  });

  it.each(['', '0', '-1', '1.5', '1e3', ' 7', '01', '1000000000', 'all'])(
    'do not take %j for a limit of flows',
    (text) => {
      const message = (option: string) =>
        `${option} is "${text}", expected a whole number from 1 to 999999999`;
      expect(() => driverOptions({ maxFlows: text })).toThrow(message('--max-flows'));
      expect(() => driverOptions({ maxFlowsPerPort: text })).toThrow(
        message('--max-flows-per-port'),
      );
    },
  );

  it.each(['1', '2', '64'])('take %s agents', (agents) => {
    expect(driverOptions({ agents }).agents).toBe(Number(agents));
  });

  it.each(['', '0', '65', '-1', '1.5', ' 2', '100', 'all'])('do not take %j agents', (agents) => {
    expect(() => driverOptions({ agents })).toThrow(
      `--agents is "${agents}", expected a whole number from 1 to 64`,
    );
  });

  it.each(['loopback', 'tap'])('take %s for the childIP', (childHostIp) => {
    expect(driverOptions({ childHostIp }).childHostIP).toBe(childHostIp);
  });

  it.each(['', 'TAP', '10.0.2.100', 'tap '])('do not take %j for the childIP', (childHostIp) => {
    expect(() => driverOptions({ childHostIp })).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION',
        message: `--child-host-ip is "${childHostIp}", expected loopback or tap`,
      }),
    );
  });

  it('take seconds for the time limits of UDP', () => {
    const { udpTimeouts } = driverOptions({ udpTimeout: '1', udpTimeoutStream: '86400' });
    expect(udpTimeouts).toEqual({ unrepliedMs: 1000, repliedMs: 86_400_000 });
  });

  it.each(['', '0', '-1', '1.5', '86401', '30s', '1e3'])('do not take %j for seconds', (text) => {
    for (const [option, texts] of [
      ['--udp-timeout', { udpTimeout: text }],
      ['--udp-timeout-stream', { udpTimeoutStream: text }],
    ] as const) {
      expect(() => driverOptions(texts)).toThrow(
        expect.objectContaining({
          code: 'ERR_OPTION',
          message: `${option} is "${text}", expected a number of seconds from 1 to 86400`,
        }),
      );
    }
  });
});
