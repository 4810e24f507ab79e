/** What `sluice top` makes of one port's flows. */
import { describe, expect, it } from 'vitest';
import { draw, type Inside } from '../../src/parent/cli/top/draw.js';
import { FlowRates } from '../../src/parent/cli/top/flow-rows.js';
import { LookInto } from '../../src/parent/cli/top/look-into.js';
import { FIRST_VIEW } from '../../src/parent/cli/top/view.js';
import type { PortFlow } from '../../src/parent/snapshot.js';
import { after, flow, idsAfter as ids, inside, look, table } from './support/top.js';

const drawn = (shown: Inside, view = after('\r')) => draw(table, shown, view, look(80, 24)).at(-2);

describe('the rates of flows', () => {
  it('are what came more by the agent’s own clock, and the average of one not seen before', () => {
    const rates = new FlowRates();
    const first = rates.next({ total: 1, flows: [flow(1, { bytesIn: 5000, ageMs: 10_000 })] });
    expect(first).toMatchObject({ more: 0, flows: [{ bytesIn: 500, totalIn: 5000 }] });
    const second = rates.next({
      total: 3,
      flows: [
        flow(1, { bytesIn: 7000, ageMs: 12_000 }),
        flow(1, { agent: 8, bytesOut: 10, ageMs: 0 }),
      ],
    });
    expect(second).toMatchObject({
      more: 1,
      flows: [
        { id: '7/1', bytesIn: 1000, bytesOut: 0 },
        { id: '8/1', bytesIn: 0, bytesOut: 0, totalOut: 10 },
      ],
    });
  });

  it('are those of the port that is looked into, whatever answer comes late', async () => {
    const answers: ((flows: { total: number; flows: PortFlow[] }) => void)[] = [];
    let changes = 0;
    const flows = () => new Promise<never>((resolve) => answers.push(resolve as () => void));
    const asker = new LookInto({ flows }, () => changes++);
    const first = asker.ask(1);
    // One question at a time.
    await asker.ask(1);
    expect(answers).toHaveLength(1);
    void asker.ask(undefined);
    const second = asker.ask(2);
    answers[0]?.({ total: 1, flows: [] });
    await first;
    expect([asker.table, changes]).toEqual([undefined, 0]);
    answers[1]?.({ total: 2, flows: [] });
    await second;
    expect([asker.table, changes]).toEqual([{ flows: [], more: 2 }, 1]);
    void asker.ask(2);
    expect(answers).toHaveLength(3);
  });

  it('stay as they were when there is no answer, with the reason', async () => {
    const asker = new LookInto({ flows: () => Promise.reject(new Error('gone')) }, () => {});
    await asker.ask(1);
    expect(asker).toMatchObject({ table: undefined, problem: 'gone' });
  });
});

describe('the view of one port', () => {
  it('lists the flows of the port inside, the fastest first, or by what s chooses', () => {
    expect(ids('\r')).toEqual(['7/2', '7/1', '7/3']);
    expect(ids('\rs')).toEqual(['7/1', '7/2', '7/3']);
    expect(ids('\rsss')).toEqual(['7/1', '7/3', '7/2']);
    expect(ids('\rssss')).toEqual(['7/1', '7/3', '7/2']);
    expect(ids('\rsssss')).toEqual(['7/2', '7/1', '7/3']);
    expect(ids('\r/:1\r')).toEqual(['7/3']);
    expect(ids('\r/half\r')).toEqual(['7/2']);
    expect(ids('\r/172.17\x1b')).toHaveLength(3);
    expect(after('\rj')).toMatchObject({ flows: { selected: '7/1' }, ports: { selected: 1 } });
    expect(after('/tcp\r\rs/x\r\x1b')).toMatchObject({
      ports: { filter: 'tcp', sort: 'id', selected: 1 },
    });
    // Whoever comes again begins anew.
    expect(after('\rs/x\r\x1b\r').flows).toEqual(FIRST_VIEW.flows);
  });

  it('shows who serves a port, and what it doesn’t show of the flows', () => {
    const lines = draw(table, inside, after('\r'), look(85, 24));
    expect(lines.slice(2)).toEqual([
      'port 1  8000:80/tcp',
      'served by         172.17.0.2:80, through agent 7',
      'flows             1, 0 new in a second',
      'towards server    0B/s, 0 packets/s',
      'towards clients   5B/s, 0 packets/s',
      'client addresses  ipv4 (no nft)',
      'lost in all       nothing',
      '        STATE   AGE  IDLE IN B/S OUT B/S                SERVER CLIENT',
      '> half-closed    2s   0ms      0    2.0k         172.17.0.2:80 198.51.100.7:40002',
      '         open   90s    5s    100       0         172.17.0.2:80 198.51.100.7:40001',
      '     dialling   10s  70ms      0       0         172.17.0.2:80 [::1]:3',
      '... and 4000 more',
      'Esc back  q quit  s sort: rate  / filter  p pause  ? help  j k select',
    ]);
    const utf8 = draw(table, inside, after('\r'), { ...look(85, 24), isUtf8: true });
    expect(utf8).toContain('… and 4000 more');
  });

  it('shows the end of a server’s address that is too long for its column', () => {
    const server = { ip: 'fd00:1111:2222:3333:4444:5555:6666:7777', port: 80 };
    const long = new FlowRates().next({ total: 1, flows: [flow(1, { server })] });
    const lines = draw(table, { table: long }, after('\r'), look(80, 24));
    expect(lines.at(-2)).toMatch(/ 0 44:5555:6666:7777\]:80 198\.51\.100\.7:40001$/);
  });

  it('says what the driver said in the place of flows, that there is no answer yet, or no port', () => {
    expect(drawn({})).toBe('asking for its flows');
    expect(drawn({ ...inside, problem: 'no\x1b[2J answer' })).toBe('no [2J answer');
    const gone = { ...after('\r'), ports: { ...FIRST_VIEW.ports, selected: 9 } };
    expect(drawn(inside, gone)).toBe('this port is gone');
  });

  it.each([
    [
      40,
      6,
      ['sluice ', 'agent 7 ', 'port 1  8000:80/tcp -> 172.17.0.2:80', '  IN B/S', '>      0'],
    ],
    [20, 3, ['port 1  8000:80/tcp ', '> 198.51.100.7:40002']],
  ])('lists flows on %d columns and %d rows', (columns, height, starts) => {
    const lines = draw(table, inside, after('\r'), look(columns, height));
    expect(lines).toHaveLength(height);
    for (const [index, start] of starts.entries())
      expect(lines[index]?.slice(0, start.length)).toBe(start);
  });
});
