import { iperf } from '../measure/iperf.js';
import { memory } from '../measure/memory.js';
import { roundtrip } from '../measure/roundtrip.js';
import { connections, requests } from '../measure/wrk.js';
import { builtin } from '../peers/builtin.js';
import { direct } from '../peers/direct.js';
import { nodePipe } from '../peers/node-pipe.js';
import { sluice } from '../peers/sluice.js';
import { socat } from '../peers/socat.js';
import type { Suite } from './suite.js';

export const tcp: Suite = {
  name: 'tcp',
  peers: [direct, sluice, builtin, socat, nodePipe],
  // Memory first: what a forwarder holds at rest before it has worked.
  measurements: [
    memory,
    roundtrip,
    iperf(1, 'one stream'),
    iperf(8, 'eight streams'),
    connections,
    requests,
  ],
  subject: 'sluice',
  baseline: 'builtin',
  goals: [
    { metric: 'connections', atLeast: 2 },
    { metric: 'requests', atLeast: 1.1 },
    { metric: 'stream1In', atLeast: 1 },
    { metric: 'stream1Out', atLeast: 1 },
    { metric: 'roundtripP99', atMost: 1 },
  ],
  remark: 'PSS counts a page that n processes share as 1/n of it.',
};
