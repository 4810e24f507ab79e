import { clientAddress } from '../measure/client-address.js';
import { iperf } from '../measure/iperf.js';
import { proxyCpuId, withProxyCpu } from '../measure/proxy-cpu.js';
import { roundtrip } from '../measure/roundtrip.js';
import { syscalls } from '../measure/syscalls.js';
import { connections, requests } from '../measure/wrk.js';
import { direct } from '../peers/direct.js';
import { dockerBuiltin, dockerSluice } from '../peers/docker.js';
import type { Suite } from './suite.js';

const measured = [
  withProxyCpu(roundtrip, 'round trips'),
  withProxyCpu(iperf(1, 'one stream'), 'one stream'),
  withProxyCpu(connections, 'connections'),
  withProxyCpu(requests, 'requests'),
];

export const docker: Suite = {
  name: 'docker',
  peers: [direct, dockerSluice, dockerBuiltin],
  measurements: [clientAddress, ...measured, syscalls],
  subject: dockerSluice.name,
  baseline: dockerBuiltin.name,
  goals: [
    { metric: 'stream1In', atLeast: 1.4 },
    { metric: 'stream1Out', atLeast: 1.4 },
    { metric: 'connections', atLeast: 2 },
    ...measured.map(({ name }) => ({ metric: proxyCpuId(name), alwaysZero: true }) as const),
  ],
  plots: [
    {
      name: 'speed',
      title: 'Through rootless Docker',
      bars: [
        'stream1In',
        'stream1Out',
        'connections',
        'requests',
        'roundtripP50',
        'roundtripP99',
        'stream1Cpu',
        'requestsCpu',
      ],
    },
  ],
  remark: 'direct: client and servers on one loopback, without a container.',
};
