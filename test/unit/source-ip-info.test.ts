import { describe, expect, it } from 'vitest';
import type { AgentStats, TransportStats } from '../../src/msg/stats.js';
import type { SourceAddressing } from '../../src/parent/source-address/set-up.js';
import { NOT_SET_UP, SWITCHED_OFF, sourceIPInfo } from '../../src/parent/source-ip-info.js';

const TRANSPORT: TransportStats = {
  flows: 0,
  accepted: 21,
  refused: 0,
  shed: 0,
  sourceKept: 6,
  sourceLost: {
    disabled: 1,
    loopback: 2,
    family: 3,
    overlap: 4,
    local: 5,
    unreturned: 7,
    refused: 6,
  },
  sourceRefused: 8,
  drops: {},
};
const STATS: AgentStats = { ports: 1, pipes: 0, transports: { tcp: TRANSPORT, udp: TRANSPORT } };
const PROTOS = ['tcp', 'tcp4', 'tcp6', 'udp', 'udp4', 'udp6'] as const;
const KEPT_OUTSIDE = {
  kept: true,
  except: 'a server that is a process of the namespace itself, not of a container, sees the agent',
};
const NO_LOSSES = {
  disabled: 0,
  loopback: 0,
  family: 0,
  overlap: 0,
  local: 0,
  unreturned: 0,
  refused: 0,
};

function addressing(fields: Partial<SourceAddressing>): SourceAddressing {
  return { ipv4: true, ipv6: true, via: 'nftables', parts: [], undo: async () => {}, ...fields };
}

describe('the info about source addresses', () => {
  it('has no reason where they are kept, and says which servers of UDP see none', () => {
    const kept = { kept: true };
    expect(sourceIPInfo(PROTOS, 'keep', addressing({}), [STATS]).protos).toEqual({
      tcp4: kept,
      tcp6: kept,
      udp4: KEPT_OUTSIDE,
      udp6: KEPT_OUTSIDE,
    });
  });

  it.each([
    ['4', { ipv4: false, ipv6: true }, '6'],
    ['6', { ipv4: true, ipv6: false }, '4'],
  ] as const)('has the reason at IPv%s alone where the other is kept', (lost, families, kept) => {
    const { protos } = sourceIPInfo(
      PROTOS,
      'keep',
      addressing({ ...families, reason: 'no ip6tables' }),
      [STATS],
    );
    for (const transport of ['tcp', 'udp']) {
      expect(protos[transport + lost]).toEqual({ kept: false, reason: 'no ip6tables' });
      expect(protos[transport + kept]).toMatchObject({ kept: true });
    }
  });

  it('knows that SCTP keeps none over IPv4, whatever is set up', () => {
    const protos = ['sctp', 'sctp4', 'sctp6'] as const;
    expect(sourceIPInfo(protos, 'keep', addressing({}), [STATS]).protos).toEqual({
      sctp4: { kept: false, reason: 'Linux sends no SCTP from an IPv4 address of somebody else' },
      sctp6: KEPT_OUTSIDE,
    });
    expect(sourceIPInfo(protos, 'keep', SWITCHED_OFF, [STATS]).protos['sctp4']?.reason).toContain(
      'switched',
    );
  });

  it.each([
    [SWITCHED_OFF, 'switched off by --source-ip=off'],
    [NOT_SET_UP, 'the port driver is not running'],
  ])('says why there are none: case %#', (state, reason) => {
    const { protos } = sourceIPInfo(PROTOS, 'keep', state, []);
    const lost = { kept: false, reason };
    expect(protos).toEqual({ tcp4: lost, tcp6: lost, udp4: lost, udp6: lost });
  });

  it('says what goes without although they are kept', () => {
    const lacks = { all: 'no NAT', udp: 'no notes' };
    const { protos } = sourceIPInfo(PROTOS, 'keep', addressing({ lacks }), []);
    expect(protos['tcp4']).toEqual({ kept: true, except: 'no NAT' });
    expect(protos['udp6']?.except).toBe(`${KEPT_OUTSIDE.except}; no NAT; no notes`);
    const lost = addressing({ ipv4: false, lacks, reason: 'gone' });
    expect(sourceIPInfo(PROTOS, 'keep', lost, []).protos['tcp4']).toEqual({
      kept: false,
      reason: 'gone',
    });
  });

  it('counts the flows of all protocols by what became of their addresses', () => {
    expect(sourceIPInfo(PROTOS, 'keep', addressing({}), [STATS]).flows).toEqual({
      kept: 12,
      without: {
        disabled: 2,
        loopback: 4,
        family: 6,
        overlap: 8,
        local: 10,
        unreturned: 14,
        refused: 12,
      },
      refused: 16,
    });
  });

  it('counts nothing while there is no agent', () => {
    expect(sourceIPInfo(PROTOS, 'keep', addressing({}), []).flows).toEqual({
      kept: 0,
      without: NO_LOSSES,
      refused: 0,
    });
  });
});
