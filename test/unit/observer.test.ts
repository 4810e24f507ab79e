import { afterEach, expect, it, vi } from 'vitest';
import type { AgentProcess } from '../../src/parent/agent.js';
import type { Agents } from '../../src/parent/agents.js';
import { Observer } from '../../src/parent/observer.js';
import type { PortTable } from '../../src/parent/ports.js';

afterEach(() => vi.restoreAllMocks());

it('looks at every port each second while somebody asks for snapshots, and no longer than a minute after', async () => {
  let looks = 0;
  const agent = {
    stats: async () => ({ ports: 0, pipes: 0, transports: {} }),
    async portStats() {
      looks++;
      return [];
    },
  } as unknown as AgentProcess;
  const agents = {
    info: async () => ({ running: [], restarts: 0 }),
    asked: [agent],
    servingNow: [agent],
  } as unknown as Agents;
  const observer = new Observer({ listPorts: async () => [] } as unknown as PortTable, () => {});
  const looksAt = async (ms: number, work: () => Promise<unknown>) => {
    vi.spyOn(performance, 'now').mockReturnValue(ms);
    looks = 0;
    await work();
    return looks;
  };
  const sourceIP = {
    policy: 'keep' as const,
    protos: {},
    flows: { kept: 0, without: {}, refused: 0 },
  };
  const beat = () => observer.onHeartbeat(agent);
  const scrape = () => observer.snapshot(agents, sourceIP);

  expect(await looksAt(500, beat)).toBe(0);
  for (const start of [1000, 500_000]) {
    expect(await looksAt(start, scrape)).toBe(1);
    expect(await looksAt(start + 1000, beat)).toBe(1);
    expect(await looksAt(start + 60_000, beat)).toBe(1);
    expect(await looksAt(start + 61_000, beat)).toBe(0);
    expect(await looksAt(start + 62_000, beat)).toBe(0);
  }
});
