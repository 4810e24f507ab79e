/** What is answered to `GET /v1/info`; without its schema, which only those that ask need. */
import type { PortDriverInfo } from '../../msg/port.js';
import type { Info } from './info.js';
import { VERSION } from './version.js';

const API_VERSION = '1.1.1';

/** What to start from where no rootlesskit is. */
export function ownInfo(stateDir: string, childPID: number): Info {
  return { apiVersion: API_VERSION, version: VERSION, stateDir, childPID };
}

/**
 * `base` with our port driver in it. Both driver keys are always there: nerdctl reads through both
 * without a look.
 */
export function withPortDriver(base: Info, portDriver: PortDriverInfo): Info {
  const { driver, protos, disallowLoopbackChildIP, sourceIP, agents } = portDriver;
  return {
    ...base,
    networkDriver: base.networkDriver ?? { driver: 'none' },
    portDriver: {
      driver,
      protos: [...protos],
      ...(disallowLoopbackChildIP ? { disallowLoopbackChildIP } : {}),
      sourceIP: structuredClone(sourceIP),
      agents: { ...agents, running: [...agents.running] },
    },
  };
}
