import { idle as idleConnections, idleLadder } from '../measure/idle.js';
import { ladderPlots } from '../measure/ladder.js';
import { sessionLadder, sessions } from '../measure/sessions.js';
import { builtin } from '../peers/rootlesskit.js';
import { sluice } from '../peers/sluice.js';
import type { Suite } from './suite.js';

export const idle: Suite = {
  name: 'idle',
  peers: [sluice, builtin],
  measurements: [idleConnections, sessions],
  subject: sluice.name,
  baseline: builtin.name,
  goals: [
    { metric: 'connectionsEach', below: 1 },
    { metric: 'idlePipes', alwaysZero: true },
  ],
  plots: [
    {
      name: 'each',
      title: 'What is idle',
      bars: [
        'connectionsMost',
        'connectionsEach',
        'idlePipes',
        'idleCpu',
        'sessionsMost',
        'sessionsEach',
      ],
    },
    ...ladderPlots(idleLadder),
    ...ladderPlots(sessionLadder),
  ],
  remark:
    'Each connection and session has carried a byte or a datagram, there and back. Memory (PSS): of ' +
    'the forwarders, above that at rest. Time: of client, forwarder and server together.',
};
