/** Every suite of `npm run bench` in its short mode. What it measures is not judged here. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { docker, rootlesskit, tool } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { describeWith, perSuite } from '../harness/suite.js';

const DEADLINE_MS = 240_000;
const TOOLS = ['iperf3', 'wrk', 'nginx', 'curl', 'strace', 'socat', 'pasta'].map(tool);

/** Of what may be 0 within a second: builtin's pipes show that pipes are seen. */
const MAY_BE_NOTHING = /(Cpu|Each|Memory\d) of|idlePipes of sluice/;

/** What is stored, as far as these tests read it. */
interface Stored {
  readonly metrics: readonly { readonly id: string; readonly unit?: string }[];
  readonly samples: Record<string, Record<string, number[]>>;
  readonly texts: Record<string, Record<string, string[]>>;
  readonly spending: Record<string, Record<string, Record<string, object>[]>>;
  readonly machine: Record<string, string>;
  readonly versions: Record<string, string>;
  readonly commands: Record<string, string[]>;
  readonly failures: readonly string[];
}

interface Run {
  readonly suite: string;
  readonly peers: readonly string[];
  readonly only?: string;
  /** Samples that the short mode and these peers leave out. */
  readonly without?: RegExp;
}

const RUNS: readonly Run[] = [
  { suite: 'tcp', peers: ['sluice'] },
  { suite: 'ports', peers: ['sluice', 'builtin'], without: /^ports(Memory|Time)[23]$/ },
  { suite: 'idle', peers: ['sluice', 'builtin'], without: /(Memory|Time)[23]$/ },
  { suite: 'start', peers: ['docker-rootlesskit', 'builtin'] },
  {
    suite: 'tcp',
    peers: ['sluice-2-agents', 'builtin', 'slirp4netns', 'pasta', 'socat', 'node'],
    only: 'roundtrip',
    without: /Switches$/,
  },
  { suite: 'udp', peers: ['sluice'], only: 'udpRoundtrip,udp1400' },
];
const THROUGH_DOCKER: Run = { suite: 'docker', peers: ['sluice'], only: 'address,requests' };

const BENCH = [
  join(REPOSITORY, 'node_modules/.bin/tsx'),
  join(REPOSITORY, 'scripts/bench/main.ts'),
];

describeWith([rootlesskit(2), ...TOOLS], 'a short benchmark', () => {
  const cleanup = perSuite();

  it.concurrent.each(RUNS)(
    'of $suite has a sample of every metric, a page and its plots: $peers',
    async (wanted) => expect(await lackingIn(wanted, temporaryFolder(cleanup))).toEqual([]),
    DEADLINE_MS,
  );

  it(
    'refuses a peer that there is not',
    async () => {
      const bench = run([...BENCH, 'ports', '--peers', 'nobody']);
      const words = "bench: --peers names 'nobody'; there are sluice, builtin\n";
      await expect(bench).rejects.toThrow(words);
    },
    DEADLINE_MS,
  );
});

describeWith([docker, ...TOOLS], 'a short benchmark through Docker', () => {
  const cleanup = perSuite();

  it(
    'has a sample of every metric, the texts included',
    async () => expect(await lackingIn(THROUGH_DOCKER, temporaryFolder(cleanup))).toEqual([]),
    DEADLINE_MS,
  );
});

/** Measures into the folder; resolves with what should be there and isn't. */
async function lackingIn(wanted: Run, folder: string): Promise<string[]> {
  const { suite, peers, only } = wanted;
  const options = ['--quick', `--peers=${peers.join(',')}`, `--output=${folder}`];
  await run([...BENCH, suite, ...options, ...(only === undefined ? [] : [`--only=${only}`])], {
    deadlineMs: DEADLINE_MS,
  });
  const stored = JSON.parse(readFileSync(join(folder, `${suite}.json`), 'utf8')) as Stored;
  return [
    ...stored.failures,
    ...peers.flatMap((peer) => lackingOf(peer, stored, wanted)),
    ...lackingOnPage(folder, wanted),
  ];
}

function lackingOf(peer: string, stored: Stored, { without }: Run): string[] {
  const { metrics, samples, texts, spending, versions, commands } = stored;
  const unmeasured = metrics.filter(({ id, unit }) => {
    if (without?.test(id) === true) return false;
    const [taken] = (unit === undefined ? texts : samples)[id]?.[peer] ?? [];
    return taken === undefined || (taken === 0 && !MAY_BE_NOTHING.test(`${id} of ${peer}`));
  });
  const unmetered = Object.entries(spending).filter(([, byPeer]) => {
    const [processes = {}] = byPeer[peer] ?? [];
    return Object.keys(processes).length === 0;
  });
  return [
    ...unmeasured.map(({ id }) => `${id} of ${peer}`),
    ...unmetered.map(([measurement]) => `what ${peer} spent on ${measurement}`),
    ...(/\d+\.\d/.test(versions[peer] ?? '') ? [] : [`version of ${peer}`]),
    ...(commands[peer] === undefined ? [`commands of ${peer}`] : []),
  ];
}

/** A page with a table, and every plot that was drawn. */
function lackingOnPage(folder: string, { suite, peers }: Run): string[] {
  const page = readFileSync(join(folder, `${suite}.md`), 'utf8');
  const shown = [...page.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, name = '']) => name);
  const drawn = readdirSync(folder).filter((name) => name.endsWith('.svg'));
  const broken = drawn.filter((name) => {
    const svg = readFileSync(join(folder, name), 'utf8');
    const named = peers.every((peer) => svg.includes(`>${peer}</text>`));
    return !(/^<svg [^]*<\/svg>\n$/.test(svg) && named);
  });
  const wanted = [`| ${peers[0]} `, `npm run bench -- ${suite} `, 'Medians of 1 '];
  return [
    ...wanted.filter((text) => !page.includes(text)),
    ...drawn.filter((name) => !shown.includes(name)),
    ...shown.filter((name) => !drawn.includes(name)),
    ...broken.map((name) => `peers in ${name}`),
    ...(drawn.length === 0 ? ['plots'] : []),
  ];
}
