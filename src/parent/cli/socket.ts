/** Which API a command talks to. */
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { SluiceError } from '../../msg/errors.js';
import { ENGINE_NAMES, ENGINES } from '../install/engine.js';
import { apiSocketOf } from '../launcher/state-dir.js';

export interface SocketOptions {
  readonly socket?: string;
}

/** k3s has no unit of sluice's, and keeps its state with its data. */
const K3S_STATE_DIR = '.rancher/k3s/rootless';

/**
 * The one that the option or the environment names; without these the only one that answers in the
 * usual state directories of this user.
 *
 * @throws SluiceError ERR_USAGE where that is none, or several
 */
export async function socketPathOf(options: SocketOptions): Promise<string> {
  const [path, ...others] = await socketsFor(options);
  if (path === undefined) {
    throw new SluiceError(
      'ERR_USAGE',
      'which API? Give --socket PATH, or set ROOTLESSKIT_STATE_DIR to the state directory that api.sock is in',
    );
  }
  if (others.length === 0) return path;
  throw new SluiceError(
    'ERR_USAGE',
    `which API? There are ${[path, ...others].join(' and ')}; give one of them with --socket`,
  );
}

/** For what can do without: undefined for none and for several. */
export async function anySocketOf(options: SocketOptions): Promise<string | undefined> {
  const [path, ...others] = await socketsFor(options);
  return others.length === 0 ? path : undefined;
}

async function socketsFor({ socket }: SocketOptions): Promise<readonly string[]> {
  const stateDir = process.env['ROOTLESSKIT_STATE_DIR'];
  if (socket !== undefined) return [socket];
  if (stateDir) return [apiSocketOf(stateDir)];
  const usual = usualStateDirs().map(apiSocketOf);
  const answers = await Promise.all(usual.map(isAnswered));
  return usual.filter((_, index) => answers[index]);
}

function usualStateDirs(): string[] {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const engines = ENGINE_NAMES.map((name) => ENGINES[name].stateDir);
  return [
    ...(runtime ? engines.map((name) => join(runtime, name)) : []),
    join(homedir(), K3S_STATE_DIR),
  ];
}

/** Whether somebody listens there: sockets of programs that were killed stay behind. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
