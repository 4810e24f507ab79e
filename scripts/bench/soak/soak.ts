/**
 * `npm run bench -- soak --minutes N`: everything that a driver does, at once and at full speed, and
 * what it holds before and after. Resolves with 1 where something leaked or failed.
 *
 * What is counted first is a driver that has done nothing, then one that has had a first load: its
 * pools and heaps have their size. What the last count has more is a leak.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createApiClient } from '../../../src/parent/api/client.js';
import { Cleanup } from '../../../test/harness/cleanup.js';
import { enter } from '../../../test/harness/namespaces.js';
import { freeRange } from '../../../test/harness/ports.js';
import { type Census, census, leaksOf, tableOf } from './census.js';
import { containerChurn, keepDoing, portChurn } from './churn.js';
import { BEHIND, type EchoPorts, startEcho, startLoad } from './load.js';
import { Meter } from './meter.js';
import { type Subject, startSubject } from './subject.js';

const LOAD = { streams: 4, trips: 4, connectors: 4, sessions: 16 } as const;
/**
 * Its stalls are measured. Load and engine take all of the processor's time, so they go behind these
 * and sluice: else clients and servers that wait for a core would be what is measured.
 */
const METERED = { streams: 1, trips: 2, connectors: 1, sessions: 2 } as const;
/** A pipe for each direction of a stream. They stay in their pool. */
const PIPES = 2 * (LOAD.streams + METERED.streams);
const WARM_UP_MS = 15_000;
/** Of the time, for the same without a forwarder. */
const DIRECT_SHARE = 0.1;
/** For what has ended to be gone: sessions of UDP, idle connections of the API. */
const SETTLE_MS = 30_000;
const SETTLE_STEP_MS = 500;

interface Servers {
  readonly load: EchoPorts;
  readonly metered: EchoPorts;
}

interface Soak {
  readonly cleanup: Cleanup;
  readonly subject: Subject;
  /** In the child namespaces. */
  readonly inside: Servers;
  /** The same ones as their clients reach them. */
  readonly servers: Servers;
  /** Put in front of the clients' command lines. */
  readonly from: readonly string[];
  readonly signal: AbortSignal;
}

export async function soak(minutes: number, signal: AbortSignal): Promise<number> {
  const cleanup = new Cleanup();
  try {
    const subject = await startSubject(cleanup);
    const child = enter({ pid: subject.childPid });
    const inside = {
      load: await startEcho(cleanup, [...child, ...BEHIND]),
      metered: await startEcho(cleanup, child),
    };
    const servers = {
      load: await publish(subject, inside.load),
      metered: await publish(subject, inside.metered),
    };
    const forwarded: Soak = { cleanup, subject, inside, servers, from: [], signal };

    const fresh = census(subject.launcher.pid);
    const warm = { ...fresh, agentPipes: fresh.agentPipes + PIPES };
    await apply(forwarded, WARM_UP_MS, new Meter('warm-up', WARM_UP_MS));
    const before = await settled(subject, { ...warm, driverMiB: Infinity, agentMiB: Infinity });
    const limits = { ...warm, driverMiB: before.driverMiB, agentMiB: before.agentMiB };
    const meter = new Meter('soak', minutes * 60_000);
    await apply(forwarded, minutes * 60_000, meter);
    const after = await settled(subject, limits);
    const directMs = minutes * 60_000 * DIRECT_SHARE;
    const direct = new Meter('from within', directMs);
    await apply({ ...forwarded, servers: inside, from: child }, directMs, direct);

    console.log(`${meter.summary()}\n${tableOf({ fresh, before, after })}`);
    console.log(`the same from within, without a forwarder: ${direct.summary()}`);
    const { portDriver } = await createApiClient(subject.apiSocket).info();
    const { restarts = 0 } = portDriver?.agents ?? {};
    const wrong = [...leaksOf(after, limits), ...meter.failures()];
    if (restarts > 0) wrong.push(`the agent was replaced ${restarts} times`);
    for (const what of wrong) console.error(`soak: FAILED: ${what}`);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    await cleanup.run();
  }
}

async function publish({ apiSocket }: Subject, inside: EchoPorts): Promise<EchoPorts> {
  const api = createApiClient(apiSocket);
  const tcp = await freeRange(2);
  const udp = tcp + 1;
  const parentIP = '127.0.0.1';
  await api.addPort({ proto: 'tcp', parentIP, parentPort: tcp, childPort: inside.tcp });
  await api.addPort({ proto: 'udp', parentIP, parentPort: udp, childPort: inside.udp });
  return { tcp, udp };
}

async function apply(how: Soak, durationMs: number, meter: Meter): Promise<void> {
  const { cleanup, subject, inside, servers, from, signal } = how;
  const over = new AbortController();
  const behind = [...from, ...BEHIND];
  const ends = [
    startLoad(cleanup, behind, { ...LOAD, ...servers.load }, (progress) => meter.take(progress)),
    startLoad(cleanup, from, { ...METERED, ...servers.metered }, (progress) => {
      meter.take(progress);
      meter.stalls.take(progress.stallMs);
    }),
  ];
  const churns = [keepDoing(meter.ports, over.signal, portChurn(subject.apiSocket, inside.load))];
  if (subject.docker !== undefined) {
    churns.push(keepDoing(meter.containers, over.signal, containerChurn(subject.docker)));
  }
  try {
    await sleep(durationMs, undefined, { signal });
  } finally {
    over.abort();
    await Promise.all([...churns, ...ends.map((end) => end())]);
    meter.end();
  }
}

/** What is held once it is no more than `most`, or at the end of the patience. */
async function settled({ launcher }: Subject, most: Census): Promise<Census> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const now = census(launcher.pid);
    if (leaksOf(now, most).length === 0 || performance.now() > deadline) return now;
    await sleep(SETTLE_STEP_MS);
  }
}
