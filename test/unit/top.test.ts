/** What `sluice top` makes of a driver's state: no terminal is needed for that. */
import { describe, expect, it } from 'vitest';
import { draw, plainTable } from '../../src/parent/cli/top/draw.js';
import { duration, graph, percent, short } from '../../src/parent/cli/top/figures.js';
import { Rates } from '../../src/parent/cli/top/rows.js';
import { FIRST_VIEW } from '../../src/parent/cli/top/view.js';
import { after, idsAfter as ids, inside, look, state, table } from './support/top.js';

describe('rates', () => {
  const rates = new Rates();
  const first = rates.next(state(10, [{ bytesIn: 5000, refused: 1 }, {}], 3));
  const second = rates.next(
    state(12, [{ bytesIn: 9000, accepted: 4, refused: 3, shed: 1 }, { drops: { held: 7 } }], 4),
  );

  it('are nothing before there are two states', () => {
    expect(first.ports.map(({ bytesIn }) => bytesIn)).toEqual([0, 0]);
    expect(first.agents).toEqual([{ pid: 7, state: 'serving', cpu: 0, residentBytes: 6e7 }]);
  });

  it('are what came more in a second, and losses are all that there were', () => {
    const [tcp, udp] = second.ports;
    expect(tcp).toMatchObject({ bytesIn: 2000, newFlows: 2, lost: 4, history: [0, 2000] });
    expect(tcp?.losses).toEqual({ refused: 3, shed: 1 });
    expect(udp).toMatchObject({ lost: 7, losses: { held: 7 } });
    expect(second.agents[0]?.cpu).toBe(0.5);
  });

  it('are not below nothing when counters begin anew', () => {
    const [tcp] = rates.next(state(13, [{ bytesIn: 10 }])).ports;
    expect(tcp?.bytesIn).toBe(0);
  });

  it('say for which family servers see the client’s address', () => {
    expect(second.ports.map(({ source }) => source)).toEqual(['ipv4', 'no']);
    expect(second.ports[0]?.sourceReason).toBe('no nft');
  });
});

describe('figures', () => {
  it('fit into five characters', () => {
    const figures = [0, 7, 999, 999.6, 1234, 9960, 45_000, 1.5e6, 2e9].map(short);
    expect(figures).toEqual(['0', '7', '999', '1.0k', '1.2k', '10k', '45k', '1.5M', '2.0G']);
    expect([0, 0.034, 0.5, 1.27].map(percent)).toEqual(['0.0%', '3.4%', '50%', '127%']);
  });

  it('are times in whole units', () => {
    const times = [0, 999, 1000, 99_999, 100_000, 47 * 3.6e6, 48 * 3.6e6, 9e9].map(duration);
    expect(times).toEqual(['0ms', '999ms', '1s', '99s', '1m', '47h', '2d', '104d']);
  });

  it('are drawn to the scale of the highest, the latest at the right', () => {
    expect(graph([0, 1, 4, 8], 6, false)).toBe('   _=#');
    expect(graph([5, 5, 5], 2, true)).toBe('██');
    expect(graph([], 3, true)).toBe('   ');
  });
});

describe('the view', () => {
  it('is sorted by what s chooses, and filtered by what is typed after /', () => {
    expect(ids('')).toEqual([1, 2, 3]);
    expect(ids('s')).toEqual([2, 1, 3]);
    expect(ids('sss')).toEqual([3, 1, 2]);
    expect(ids('/udp\r')).toEqual([2]);
    expect(ids('/800x\x7f2')).toEqual([3]);
    expect(ids('/udp\x1b')).toEqual([1, 2, 3]);
  });

  it('keys that are typed into a filter command nothing', () => {
    expect(after('/q').isOver).toBe(false);
    expect(after('q').isOver).toBe(true);
    expect(after('/\x03').isOver).toBe(true);
    expect(after('p').isPaused).toBe(true);
  });

  it('looks into the selected port, and out again', () => {
    expect(after('jj\r')).toMatchObject({ ports: { selected: 3 }, isInside: true });
    const lines = draw(table, inside, after('jjjjj\r'), look(80, 24));
    expect(lines).toContain('lost in all       shed 2');
    expect(lines).toContain('served by         agent 7');
    expect(after('j\r\x1b')).toMatchObject({ ports: { selected: 2 }, isInside: false });
  });

  it('has the server beside its port at 110 columns, and a heading for the bars', () => {
    const spec = { proto: 'tcp4', parentIP: '0.0.0.0', childIP: '127.0.0.1' } as const;
    const ports = state(1, [{}]).ports.map((port) => ({
      ...port,
      spec: { ...spec, parentPort: 18_080, childPort: 18_080 },
    }));
    const rows = new Rates().next({ ...state(1, []), ports });
    const at = (columns: number) => draw(rows, {}, FIRST_VIEW, look(columns, 24)).join('\n');
    for (const columns of [110, 130, 200]) {
      expect(at(columns)).toContain('0.0.0.0:18080:127.0.0.1:18080/tcp4 -> 172.17.0.2:80');
      expect(at(columns)).toMatch(/ SOURCE  LOST .* PORT -> SERVER/);
    }
    expect(at(130)).toContain(' BYTES, 12 S PORT -> SERVER');
    expect(at(80)).toMatch(/ SOURCE  LOST  BYTES, 12 S PORT/);
    expect(at(200)).toContain(' P/S');
  });

  it('explains keys and columns after ?, until the next key', () => {
    expect(draw(table, {}, after('?'), look(110, 24)).join('\n')).toMatch(
      /^keys\n[^]* SOURCE [^]*\nany key: back$/,
    );
    expect(after('?q')).toEqual(FIRST_VIEW);
    expect(after('?\x03').isOver).toBe(true);
    expect(after('/?')).toMatchObject({ isHelping: false, ports: { filter: '?' } });
  });

  it.each([
    [80, 24],
    [40, 8],
    [20, 3],
    [10, 1],
    [300, 100],
  ])('fits into %d columns and %d rows', (columns, height) => {
    for (const keys of ['', 'j', '\r', '/x', '\r/x', '\rj', '?', '\r?']) {
      const lines = draw(table, inside, after(keys), look(columns, height));
      expect(lines.length).toBeLessThanOrEqual(height);
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(columns);
    }
  });

  it('shows the selected port however many there are', () => {
    const many = new Rates().next(
      state(
        1,
        Array.from({ length: 50 }, () => ({})),
      ),
    );
    const view = { ...FIRST_VIEW, ports: { ...FIRST_VIEW.ports, selected: 40 } };
    expect(draw(many, {}, view, look(80, 12)).some((line) => /^> +40 /.test(line))).toBe(true);
  });

  it('has no escape sequence without colours, and styles whole lines with them', () => {
    const plain = draw(table, {}, FIRST_VIEW, look(60, 20));
    expect(plain.join('')).not.toContain('\x1b');
    const styled = draw(table, {}, FIRST_VIEW, { ...look(60, 20), isColoured: true });
    const bare = styled.map((line) => line.replace(/^\x1b\[\dm/, '').replace(/\x1b\[0m$/, '')); // eslint-disable-line no-control-regex
    expect(bare).toEqual(plain);
  });

  it('is a table for people where there is no terminal', () => {
    expect(plainTable(table)).toEqual([
      'agent 7 serving  cpu 0.0%  memory 60MB',
      '   ID FLOWS NEW/S IN B/S OUT B/S IN P/S OUT P/S SOURCE  LOST  PORT -> SERVER',
      '    1     1     0      0       5      0       0   ipv4     0  8000:80/tcp -> 172.17.0.2:80',
      '    2     9     0      0       0      0       0     no     0  8001:80/udp4',
      '    3     0     0      0     100      0       0   ipv4     2  8002:80/tcp  lost: shed 2',
    ]);
  });
});
