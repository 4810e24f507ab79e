/**
 * Ends of processes at random, under load: one minute, or SLUICE_TEST_KILL_SECONDS. The seed is
 * printed; SLUICE_TEST_KILL_SEED takes it again. (What is killed is the same then, what the kernel
 * makes of it need not be.)
 */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { makeHost } from '../harness/namespaces.js';
import { userNamespaces } from '../harness/needs.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startDriver } from './driver-support.js';
import { ECHO_BOTH, told, UdpLoad } from './survive-random-support.js';
import { spec, Trial } from './survive-random-trial.js';
import { Load } from './survive-support.js';

const SECONDS = Number(process.env['SLUICE_TEST_KILL_SECONDS'] ?? 60);
const SEED = Number(process.env['SLUICE_TEST_KILL_SEED'] ?? Date.now() % 1_000_000);
const [TCP_PORT, UDP_PORT] = [8080, 8081];
const LONGEST_STOP_MS = SECONDS > 120 ? 10_000 : 2000;

describeWith([userNamespaces], 'ends at random', () => {
  const cleanup = perTest();

  it(
    'refuse nobody, lose no port, bring none back, and are all told',
    async () => {
      console.log(`SLUICE_TEST_KILL_SEED=${SEED}`);
      const host = await makeHost(cleanup);
      const stateDir = temporaryFolder(cleanup);
      const driver = await startDriver(cleanup, host, { command: ECHO_BOTH, stateDir });
      const options = { seed: SEED, stateDir, longestStopMs: LONGEST_STOP_MS };
      const trial = new Trial(driver, host, options);
      await trial.add(spec(TCP_PORT, 'tcp'));
      await trial.add(spec(UDP_PORT, 'udp'));
      const tcp = await Load.start(cleanup, host, TCP_PORT);
      const udp = await UdpLoad.start(cleanup, host, UDP_PORT);
      const end = performance.now() + SECONDS * 1000;
      let steps = 0;
      for (; performance.now() < end; steps++) {
        console.log(`${steps}: ${await trial.step()}`);
      }
      await tcp.goesOn();
      await udp.goesOn();
      const { failed } = await tcp.tally();
      expect(Object.keys(failed).filter((how) => !['ECONNRESET', 'cut'].includes(how))).toEqual([]);
      expect(await udp.failures()).toEqual({});
      await driver.program.end();
      expect(told(driver.program.stderr, 'driverEnded')).toBe(trial.ends.driver.size);
      console.log(
        `${steps} steps, ends of drivers: ${trial.ends.driver.size}, of agents: ${trial.ends.agent.size}`,
      );
    },
    (SECONDS + 180) * 1000,
  );
});
