/** `npm run bench -- [SUITE] [OPTIONS]`: exits with 1 if a measurement failed, whatever it shows. */
import { constants } from 'node:os';
import { SluiceError } from '../../src/msg/errors.js';
import { parseCommandLine, planOf } from './options.js';
import { RESULTS_FOLDER, defaultFolder, makeFolder, publish, settingOf } from './results.js';
import { runRounds } from './rounds.js';
import { soak } from './soak/soak.js';
import { isRoot, rerunAsUser } from './unprivileged.js';

async function main(): Promise<number> {
  const asked = parseCommandLine();
  if (isRoot()) {
    return rerunAsUser(
      'soakMinutes' in asked ? RESULTS_FOLDER : (asked.options.output ?? RESULTS_FOLDER),
    );
  }
  const abort = new AbortController();
  let exitCode = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      exitCode = 128 + constants.signals[signal];
      console.error(`bench: ${signal}: ending what was started`);
      abort.abort();
    });
  }
  try {
    if ('soakMinutes' in asked) return await soak(asked.soakMinutes, abort.signal);
    const { suite, options } = asked;
    const plan = planOf(suite, options);
    const folder = options.output ?? defaultFolder(suite);
    makeFolder(folder);
    const setting = await settingOf(plan);
    const results = await runRounds(plan, abort.signal);
    publish(folder, suite, plan, setting, results);
    return results.failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (abort.signal.aborted) {
      return exitCode;
    }
    throw error;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error('bench:', error instanceof SluiceError ? error.message : error);
  process.exitCode = 1;
}
