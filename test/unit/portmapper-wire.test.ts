import { describe, expect, test } from 'vitest';
import type { PortBinding } from '../../src/parent/portmapper/contract.js';
import { dnatRules } from '../../src/parent/portmapper/dnat-rules.js';
import {
  decodeMapPorts,
  decodeUnmapPorts,
  encodeBinding,
} from '../../src/parent/portmapper/wire.js';

const MAPPED: PortBinding = {
  proto: 6,
  ip: '172.17.0.2',
  port: 80,
  hostIP: '0.0.0.0',
  hostPort: 8080,
  hostPortEnd: 8080,
  childHostIP: '127.0.0.1',
  nat: { ip: '127.0.0.1', port: 8080 },
  forwarding: true,
  rootlesskitUnsupported: false,
};
const NAT = { FromAddr: '127.0.0.1', FromPort: 8080 };

describe('a request on the wire', () => {
  const WIRE = {
    Proto: 17,
    BackendIP: '172.17.0.2',
    BackendPort: 53,
    FrontendIP: '::1',
    FrontendPort: 8000,
    FrontendPortEnd: 8010,
  };

  test('is read field by field', () => {
    const req = { proto: 17, ip: '172.17.0.2', port: 53, hostIP: '::1' };
    expect(decodeMapPorts({ Reqs: [WIRE], Labels: { a: 'b' }, Next: 1 })).toEqual([
      { ...req, hostPort: 8000, hostPortEnd: 8010 },
    ]);
    expect(decodeMapPorts({ Reqs: [{ ...WIRE, FrontendPortEnd: 0, New: [] }] })).toEqual([
      { ...req, hostPort: 8000, hostPortEnd: 8000 },
    ]);
  });

  test('may lack every field', () => {
    const empty = { proto: 6, ip: '', port: 0, hostIP: '', hostPort: 0, hostPortEnd: 0 };
    expect(decodeMapPorts({ Reqs: [{}] })).toEqual([empty]);
    for (const nothing of [{}, { Reqs: null }, { Reqs: [] }]) {
      expect(decodeMapPorts(nothing)).toEqual([]);
    }
  });

  test.each([
    [{ Reqs: [{}, { Proto: 'tcp' }] }, /^bad request: Reqs\.1\.Proto: .*expected number/],
    [{ Reqs: {} }, /^bad request: Reqs: .*expected array/],
    [[], /^bad request: the body: .*expected object/],
  ])('is refused with the name of a field of a wrong type: %j', (body, message) => {
    expect(() => decodeMapPorts(body)).toThrow(message);
  });
});

describe('a binding on the wire', () => {
  test('is written as the plugin format has it', () => {
    expect(encodeBinding(MAPPED)).toEqual({
      Proto: 6,
      BackendIP: '172.17.0.2',
      BackendPort: 80,
      FrontendIP: '0.0.0.0',
      FrontendPort: 8080,
      DiscardReq: false,
      AllowForwarding: true,
      NAT,
      Error: null,
    });
  });

  test('that was left out is a discarded request with its reason', () => {
    const { nat: _, ...rest } = MAPPED;
    const left = { ...rest, forwarding: false, rootlesskitUnsupported: true, reason: 'no sctp' };
    expect(encodeBinding(left)).toMatchObject({
      DiscardReq: true,
      AllowForwarding: false,
      NAT: null,
      Error: 'no sctp',
    });
  });

  test('is read again as it was written', () => {
    const { childHostIP: _, ...rest } = MAPPED;
    expect(decodeUnmapPorts({ PortBindings: [encodeBinding(MAPPED)] })).toEqual([rest]);
  });

  test.each([
    [NAT, MAPPED.nat],
    ['127.0.0.1:8080', MAPPED.nat],
    ['[::1]:8080', { ip: '::1', port: 8080 }],
    ['', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('may have its NAT as %j', (written, nat) => {
    const [binding] = decodeUnmapPorts({ PortBindings: [{ NAT: written }] });
    expect(binding?.nat).toEqual(nat);
  });

  test('is refused with a NAT of another form', () => {
    const body = { PortBindings: [{ NAT: 'nowhere' }] };
    expect(() => decodeUnmapPorts(body)).toThrow(/^bad request: PortBindings\.0\.NAT: /);
  });

  test.each([
    [{ Forwarding: true }, true],
    [{ AllowForwarding: true }, true],
    [{ AllowForwarding: false, Forwarding: true }, false],
    [{}, false],
  ])('may call it %j', (fields, forwarding) => {
    expect(decodeUnmapPorts({ PortBindings: [fields] })).toMatchObject([{ forwarding }]);
  });
});

describe('the nftables script', () => {
  test('takes the table away where there is nothing to publish', () => {
    const script = 'table inet sluice-portmapper\ndelete table inet sluice-portmapper\n';
    const { nat: _, ...unsupported } = MAPPED;
    expect(dnatRules([])).toBe(script);
    expect(dnatRules([unsupported])).toBe(script);
  });

  test('has one rule for bindings that share a ChildHostIP, and says what has none', () => {
    const six = { ...MAPPED, hostIP: '::', nat: { ip: '::1', port: 8080 } };
    const script = dnatRules([MAPPED, { ...MAPPED, hostIP: '198.51.100.1' }, six], 'web_1');
    expect(script.match(/dport.*/g)).toEqual(['dport 8080 dnat ip to 172.17.0.2:80']);
    expect(script).toContain('# no NAT from ::1 port 8080/tcp to 172.17.0.2:80\n');
    expect(script).toMatch(/^table inet web_1\ndelete table inet web_1\ntable inet web_1 \{/);
  });

  test('refuses the name of a table that would be something else', () => {
    expect(() => dnatRules([], 'x; flush ruleset')).toThrow(/^bad table name "x; flush ruleset"/);
  });
});
