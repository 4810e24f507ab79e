import { DATAGRAM_SIZES, LOSS_IDS, udpLoss, udpRoundtrip, udpThroughput } from '../measure/udp.js';
import { builtin } from '../peers/rootlesskit.js';
import { direct } from '../peers/direct.js';
import { dockerBuiltin, dockerSluice } from '../peers/docker.js';
import { sluice } from '../peers/sluice.js';
import { socat } from '../peers/socat.js';
import type { Suite } from './suite.js';

const throughDocker = {
  subject: { ...dockerSluice, name: 'docker-sluice' },
  baseline: { ...dockerBuiltin, name: 'docker-builtin' },
};
const docker = { subject: throughDocker.subject.name, baseline: throughDocker.baseline.name };
const loss = { ladder: LOSS_IDS, reference: direct.name, referencePercent: 0.1, percent: 1 };

export const udp: Suite = {
  name: 'udp',
  peers: [direct, sluice, builtin, socat, throughDocker.subject, throughDocker.baseline],
  measurements: [
    udpRoundtrip,
    ...DATAGRAM_SIZES.map((bytes) => udpThroughput(bytes, 'segmented')),
    udpThroughput(1400, 'singly'),
    udpLoss,
  ],
  subject: sluice.name,
  baseline: builtin.name,
  goals: [
    { metric: 'udp1400', atLeast: 5, ...docker },
    { metric: 'udp1400Singly', atLeast: 5, ...docker },
    { ...loss },
    { ...loss, subject: docker.subject },
    { metric: 'udpRoundtripP99', atMost: 1 },
    { metric: 'udpRoundtripP99', atMost: 1, ...docker },
  ],
  plots: [
    {
      name: 'throughput',
      title: 'UDP, as fast as the client can send',
      bars: DATAGRAM_SIZES.map((bytes) => `udp${bytes}`).concat('udp1400Singly'),
    },
    { name: 'loss', title: 'UDP at a rate, datagrams of 1400 bytes', bars: LOSS_IDS },
    {
      name: 'roundtrip',
      title: 'UDP round trips',
      bars: ['udpRoundtripP50', 'udpRoundtripP99'],
    },
  ],
  remark:
    'Segmented: up to 64 datagrams with one system call, at a rate every 0.2 ms or so; ' +
    'CPU: of the forwarders, for a million datagrams that arrived.',
};
