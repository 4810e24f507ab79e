import { expect, test } from 'vitest';
import { agentCommand, capabilities } from '../../src/parent/agent-command.js';

test.each(['5.17.0', '6.1.0-18-amd64', '10.0'])(
  'from 5.17 on, as %s, CAP_NET_RAW is enough to mark packets',
  (kernel) => {
    expect(capabilities(true, kernel)).toEqual(['net_raw', 'net_bind_service']);
  },
);

test.each(['5.10.0-28-amd64', '5.16.20', '4.18.0'])(
  'before 5.17, as %s, marks take CAP_NET_ADMIN',
  (kernel) => {
    expect(capabilities(true, kernel)).toEqual(['net_raw', 'net_bind_service', 'net_admin']);
  },
);

test('an agent that never stands for a client has no capability on any kernel', () => {
  expect(capabilities(false, '5.10.0')).toEqual([]);
  expect(agentCommand({ pid: 1 }, false)).toContain('--bounding-set=-all');
});
