/** A rootless driver is measured as an ordinary user; root also has larger kernel quotas. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync } from 'node:fs';
import { userInfo } from 'node:os';
import { SluiceError } from '../../src/msg/errors.js';
import { type CommandLine, run } from './command.js';

const USER = 'sluice-test';
/** The test suites take it too: they end every process of that user when they start. */
const LOCK = `/run/lock/${USER}.lock`;
const ID_TIMEOUT_MS = 5000;

export function isRoot(): boolean {
  return userInfo().uid === 0;
}

/** Runs this program again as the test user; resolves with its exit code. */
export async function rerunAsUser(resultsFolder: string): Promise<number> {
  mkdirSync(resultsFolder, { recursive: true });
  chownSync(resultsFolder, await userId('--user'), await userId('--group'));
  const change = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--init-groups', '--reset-env'];
  const kept = ['PATH', 'SLUICE_BENCH_ROOTLESSKIT'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [`${name}=${value}`];
  });
  const self = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  console.log(
    `bench: root measures nothing; going on as ${USER}, after its test run if there is one`,
  );
  // flock becomes the program that it runs, so signals need no further hop.
  const args = ['--no-fork', LOCK, ...change, 'env', ...kept, ...self];
  const child = spawn('flock', args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => child.kill(signal));
  }
  await once(child, 'exit');
  return child.exitCode ?? 1;
}

async function userId(option: string): Promise<number> {
  const command: CommandLine = ['id', option, USER];
  try {
    return Number(await run(command, ID_TIMEOUT_MS));
  } catch (error) {
    throw new SluiceError(
      'BENCH_ROOT',
      `root measures nothing, and there is no user '${USER}': run this as an unprivileged user ` +
        `with lines in /etc/subuid and /etc/subgid, or make one: useradd --create-home ${USER}`,
      { cause: error },
    );
  }
}
