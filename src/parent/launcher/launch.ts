import { mkdtempSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { parsePortSpec } from '../../msg/spec.js';
import { createApiClient } from '../api/client.js';
import { serve } from '../serve.js';
import { Gate } from './gate.js';
import { allValues, type CommandLine, lastValue, wordsWithout } from './options.js';
import { apiSocketOf, assertOwn, childContextOf, movedApiSocketOf } from './state-dir.js';
import { supervise } from './supervise.js';

const OURS = ['port-driver', 'publish', 'p', 'state-dir'] as const;

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
  const { stateDir, remove } = stateDirOf(line);
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
      serve: async () => {
        const upstreamApi = movedApiSocketOf(stateDir);
        await rename(apiSocketOf(stateDir), upstreamApi);
        const { networkDriver } = await createApiClient(upstreamApi).info();
        const child = childContextOf(stateDir, networkDriver?.childIP);
        return serve({ child, stateDir, apiSocket: apiSocketOf(stateDir), upstreamApi, publish });
      },
    });
  } finally {
    await remove();
  }
}

interface StateDir {
  readonly stateDir: string;
  /** Removes what rootlesskit left of it when it did not end in the orderly way. */
  readonly remove: () => Promise<void>;
}

function stateDirOf(line: CommandLine): StateDir {
  const given = lastValue(line, 'state-dir');
  if (given) {
    const stateDir = resolve(given);
    assertOwn(stateDir);
    return { stateDir, remove: () => rm(movedApiSocketOf(stateDir), { force: true }) };
  }
  // As rootlesskit makes it.
  const stateDir = mkdtempSync(join(process.env['TMPDIR'] || '/tmp', 'rootlesskit'));
  return { stateDir, remove: () => rm(stateDir, { recursive: true, force: true }) };
}
