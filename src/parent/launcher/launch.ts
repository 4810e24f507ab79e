import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { parsePortSpec } from '../../msg/spec.js';
import { logOptions } from '../log/options.js';
import { parseMetricsListen } from '../metrics/listen.js';
import { placeIn } from '../agent-place.js';
import { removeFile } from '../remove-file.js';
import { driverOptions } from './driver-options.js';
import { Gate } from './gate.js';
import { emergingChild } from './namespaces.js';
import { allValues, type CommandLine, isTrue, lastValue, wordsWithout } from './options.js';
import { stopSignal } from './signals.js';
import { apiSocketOf, assertOwn, childContextOf, movedApiSocketOf } from './state-dir.js';
import { supervise } from './supervise.js';

const OURS = [
  'port-driver',
  'publish',
  'p',
  'state-dir',
  'source-ip',
  'source-ip-transparent',
  'child-host-ip',
  'udp-timeout',
  'udp-timeout-stream',
  'agents',
  'max-flows',
  'max-flows-per-port',
  'log-level',
  'log-format',
  'metrics-listen',
] as const;

/** Runs `real` with --port-driver=none and takes the port driver's place. */
export async function launch(real: string, line: CommandLine): Promise<number> {
  const net = lastValue(line, 'net') ?? 'host';
  if (net === 'host') {
    throw new SluiceError(
      'ERR_NET_HOST',
      'port driver requires non-host network, and the network is "host"; add --net=slirp4netns or another network driver, or leave out --port-driver=sluice',
    );
  }
  // A flag that may be given several times takes several values at once, too.
  const publish = allValues(line, 'publish', 'p')
    .flatMap((value) => value.split(','))
    .map((value) => parsePortSpec(value.trim()));
  const driver = driverOptions({
    sourceIp: lastValue(line, 'source-ip'),
    sourceIpTransparent: lastValue(line, 'source-ip-transparent'),
    childHostIp: lastValue(line, 'child-host-ip'),
    udpTimeout: lastValue(line, 'udp-timeout'),
    udpTimeoutStream: lastValue(line, 'udp-timeout-stream'),
    agents: lastValue(line, 'agents'),
    maxFlows: lastValue(line, 'max-flows'),
    maxFlowsPerPort: lastValue(line, 'max-flows-per-port'),
  });
  const log = logOptions({
    logLevel: lastValue(line, 'log-level'),
    logFormat: lastValue(line, 'log-format'),
  });
  const metricsListen = parseMetricsListen(lastValue(line, 'metrics-listen'));
  using _ = stopSignal();
  const { stateDir, isTemporary } = stateDirOf(line);
  const upstreamApi = movedApiSocketOf(stateDir);
  const detachesNetns = isTrue(lastValue(line, 'detach-netns'));
  const childOf = emergingChild(stateDir, detachesNetns);
  let isMoved = false;
  const gate = new Gate(stateDir);
  try {
    return await supervise({
      command: [
        real,
        ...wordsWithout(line, ...OURS),
        `--state-dir=${stateDir}`,
        '--port-driver=none',
        ...gate.hold(line.command),
      ],
      env: process.env,
      gate,
      lookAhead: (pid) => {
        const child = childOf(pid);
        return child && placeIn(child, driver);
      },
      serve: async (waiting) => {
        // rootlesskit makes the directory where there is none.
        assertOwn(stateDir);
        renameSync(apiSocketOf(stateDir), upstreamApi);
        isMoved = true;
        const child = childContextOf(stateDir);
        const apiSocket = apiSocketOf(stateDir);
        const served = { child, stateDir, apiSocket, upstreamApi, publish };
        return waiting.keep({ ...served, driver, log, metricsListen });
      },
    });
  } finally {
    // What a rootlesskit leaves that did not end in the orderly way.
    if (isMoved) removeFile(upstreamApi);
    if (isTemporary) rmSync(stateDir, { recursive: true, force: true });
  }
}

function stateDirOf(line: CommandLine): { stateDir: string; isTemporary: boolean } {
  const given = lastValue(line, 'state-dir');
  if (given) {
    const stateDir = resolve(given);
    assertOwn(stateDir);
    return { stateDir, isTemporary: false };
  }
  // As rootlesskit makes it.
  const stateDir = mkdtempSync(join(process.env['TMPDIR'] || '/tmp', 'rootlesskit'));
  return { stateDir, isTemporary: true };
}
