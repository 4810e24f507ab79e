import { footprint } from '../measure/footprint.js';
import { builtin, dockerRootlesskit } from '../peers/rootlesskit.js';
import { sluice } from '../peers/sluice.js';
import type { Suite } from './suite.js';

export const start: Suite = {
  name: 'start',
  peers: [dockerRootlesskit, sluice, builtin],
  measurements: [footprint],
  subject: dockerRootlesskit.name,
  baseline: builtin.name,
  goals: [
    { metric: 'ready', atMostMore: 150 },
    { metric: 'rest', below: 100 },
    { metric: 'rest', below: 100, subject: sluice.name },
  ],
  plots: [{ name: 'footprint', title: 'Start and memory', bars: ['ready', 'rest', 'withPorts'] }],
  remark:
    'With four ports to publish (-p). The API is ready once it names its port driver, before the ' +
    "child's command is started.",
};
