/** What ports that came and went leave behind in the driver. */
import { queryObjects } from 'node:v8';
import { expect, it } from 'vitest';
import { startDriver } from '../harness/driver.js';
import { userNamespaces } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { describeWith, perTest } from '../harness/suite.js';

const PORTS = 200;

describeWith([userNamespaces], 'a driver whose ports come and go', () => {
  const cleanup = perTest();

  it('keeps no time limit of a request that was answered', async () => {
    const { driver } = await startDriver(cleanup, {});
    const parentPort = await freePort();
    const spec = { proto: 'tcp', parentIP: '127.0.0.1', parentPort, childPort: 80 } as const;
    const before = timeLimits();
    for (let count = 0; count < PORTS; count++) {
      const { id } = await driver.addPort(spec);
      await driver.removePort(id);
    }
    expect(timeLimits() - before).toBeLessThan(PORTS / 10);
  });
});

function timeLimits(): number {
  return queryObjects(AbortSignal, { format: 'count' });
}
