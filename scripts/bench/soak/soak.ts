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
import { type EchoPorts, startEcho, startLoad } from './load.js';
import { Meter } from './meter.js';
import { type Subject, startSubject } from './subject.js';

const WAYS = { streams: 4, trips: 4, connectors: 4, sessions: 16 } as const;
/** To the same servers from within: what stalls there is not the forwarder's. */
const REFERENCE = { trips: 1 } as const;
/** A pipe for each direction of a stream. They stay in their pool. */
const PIPES = 2 * WAYS.streams;
const WARM_UP_MS = 15_000;
/** Of the time, for the whole load without a forwarder. */
const DIRECT_SHARE = 0.2;
/** For what has ended to be gone: sessions of UDP, idle connections of the API. */
const SETTLE_MS = 30_000;
const SETTLE_STEP_MS = 500;

interface Load {
  readonly cleanup: Cleanup;
  readonly subject: Subject;
  /** In the child namespaces. */
  readonly inside: EchoPorts;
  /** The same ports, published. */
  readonly outside: EchoPorts;
  /** Put in front of the clients' command line. */
  readonly from?: readonly string[];
  readonly signal: AbortSignal;
}

export async function soak(minutes: number, signal: AbortSignal): Promise<number> {
  const cleanup = new Cleanup();
  try {
    const subject = await startSubject(cleanup);
    const inside = await startEcho(cleanup, enter({ pid: subject.childPid }));
    const load = { cleanup, subject, inside, outside: await publish(subject, inside), signal };

    const fresh = census(subject.launcher.pid);
    const warm = { ...fresh, agentPipes: fresh.agentPipes + PIPES };
    await apply(load, WARM_UP_MS, new Meter('warm-up', WARM_UP_MS));
    const before = await settled(subject, { ...warm, driverMiB: Infinity, agentMiB: Infinity });
    const limits = { ...warm, driverMiB: before.driverMiB, agentMiB: before.agentMiB };
    const meter = new Meter('soak', minutes * 60_000);
    await apply(load, minutes * 60_000, meter);
    const after = await settled(subject, limits);
    const directMs = minutes * 60_000 * DIRECT_SHARE;
    const direct = new Meter('from within', directMs);
    await apply(
      { ...load, outside: inside, from: enter({ pid: subject.childPid }) },
      directMs,
      direct,
    );

    console.log(`${meter.summary()}\n${tableOf({ fresh, before, after })}`);
    console.log(`the same load from within, without a forwarder: ${direct.summary()}`);
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

async function apply(load: Load, durationMs: number, meter: Meter): Promise<void> {
  const { cleanup, subject, inside, outside, from = [], signal } = load;
  const over = new AbortController();
  const ends = [
    startLoad(cleanup, from, { ...WAYS, ...outside }, (progress) => meter.take(progress)),
    startLoad(
      cleanup,
      enter({ pid: subject.childPid }),
      { ...REFERENCE, ...inside },
      ({ stallMs }) => meter.direct.take(stallMs),
    ),
  ];
  const churns = [keepDoing(meter.ports, over.signal, portChurn(subject.apiSocket, inside))];
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
