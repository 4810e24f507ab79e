import { iperf } from '../measure/iperf.js';
import { memory } from '../measure/memory.js';
import { roundtrip } from '../measure/roundtrip.js';
import { syscalls } from '../measure/syscalls.js';
import { connections, requests } from '../measure/wrk.js';
import { builtin, slirp4netns } from '../peers/rootlesskit.js';
import { direct } from '../peers/direct.js';
import { nodePipe } from '../peers/node-pipe.js';
import { pasta } from '../peers/pasta.js';
import { sluice, twoAgents } from '../peers/sluice.js';
import { socat } from '../peers/socat.js';
import type { Suite } from './suite.js';

export const tcp: Suite = {
  name: 'tcp',
  peers: [direct, sluice, twoAgents, builtin, slirp4netns, pasta, socat, nodePipe],
  // Memory first: what a forwarder holds at rest before it has worked.
  measurements: [
    memory,
    roundtrip,
    iperf(1, 'one stream'),
    iperf(8, 'eight streams'),
    connections,
    requests,
    syscalls,
  ],
  subject: 'sluice',
  baseline: 'builtin',
  goals: [
    { metric: 'connections', atLeast: 3 },
    { metric: 'requests', atLeast: 1.4 },
    ...['stream1In', 'stream1Out', 'stream8In', 'stream8Out'].map(
      (metric) => ({ metric, atLeast: 1.25 }) as const,
    ),
    { metric: 'stream1Cpu', atMost: 0.8 },
    { metric: 'roundtripP50', atMost: 0.75 },
    { metric: 'roundtripP99', atMost: 0.65 },
  ],
  plots: [
    {
      name: 'throughput',
      title: 'TCP throughput into and out of the namespace',
      bars: ['stream1In', 'stream1Out', 'stream8In', 'stream8Out', 'stream1Cpu', 'stream8Cpu'],
    },
    {
      name: 'connections',
      title: 'TCP connections, requests and round trips',
      bars: ['connections', 'requests', 'roundtripP50', 'roundtripP99'],
    },
    {
      name: 'cost',
      title: 'What TCP costs the forwarders',
      bars: [
        'connectionsCpu',
        'requestsCpu',
        'syscallsConnection',
        'syscallsRequest',
        'syscallsIn',
        'syscallsOut',
        'connectionsSwitches',
        'requestsSwitches',
      ],
    },
    { name: 'memory', title: 'Memory of the forwarders', bars: ['memoryRest', 'memoryIdle'] },
  ],
  remark:
    'PSS counts a page that n processes share as 1/n of it. CPU and context switches are those of ' +
    'the forwarders; system calls are counted by strace in a pass of their own, once.',
};
