import { ladderPlots } from '../measure/ladder.js';
import { manyPorts, portCalls, portGrowth, portLadder } from '../measure/ports.js';
import { builtin } from '../peers/rootlesskit.js';
import { sluice } from '../peers/sluice.js';
import type { Suite } from './suite.js';

export const ports: Suite = {
  name: 'ports',
  peers: [sluice, builtin],
  measurements: [portCalls, manyPorts, portGrowth],
  subject: sluice.name,
  baseline: builtin.name,
  goals: [
    { metric: 'addP50', atMost: 0.5 },
    { metric: 'many', atMost: 0.5 },
  ],
  plots: [
    {
      name: 'calls',
      title: 'Ports through the API',
      bars: ['addP50', 'addP99', 'removeP50', 'removeP99', 'manyAdded', 'manyRemoved'],
    },
    ...ladderPlots(portLadder),
  ],
  remark:
    'TCP ports of a loopback address, added and removed through the API one after the other, over one ' +
    'connection. Memory: above that without them.',
};
