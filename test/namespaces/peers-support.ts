import { dirname } from 'node:path';
import type { Cleanup } from '../harness/cleanup.js';
import { pathWith } from '../harness/paths.js';
import {
  type Rootlesskit,
  type RootlesskitOptions,
  rootlesskitProgram,
  startRootlesskit,
} from '../harness/rootlesskit.js';
import { commandsFolder } from '../harness/sluice.js';

/** Runs the rest of the command in the detached network namespace, where there is one. */
const DETACHED = `if [ -e "$ROOTLESSKIT_STATE_DIR/netns" ]
  then exec nsenter --net="$ROOTLESSKIT_STATE_DIR/netns" "$@"; else exec "$@"; fi`;

export interface Peer extends Pick<RootlesskitOptions, 'major' | 'net'> {
  readonly flags: readonly string[];
}

export function nameOf({ major, net, flags }: Peer): string {
  return `rootlesskit ${major} with ${[net, ...flags].join(' ')}`;
}

export function realOf(major: 1 | 2): string {
  return rootlesskitProgram(major) ?? '';
}

/** Like startRootlesskit, with our port driver; `command` serves on port 80 of its namespace. */
export function startOurs(
  cleanup: Cleanup,
  { major, net, flags }: Peer,
  command: readonly string[],
  { publish = [], program = ['docker-rootlesskit'] }: OursOptions = {},
): Promise<Rootlesskit> {
  return startRootlesskit(cleanup, {
    major,
    net,
    portDriver: 'sluice',
    program,
    flags: [...flags, ...publish.flatMap((spec) => ['-p', spec])],
    command: ['sh', '-c', DETACHED, 'sh', ...command],
    env: { PATH: pathWith(commandsFolder(cleanup), dirname(realOf(major))) },
  });
}

export interface OursOptions {
  readonly publish?: readonly string[];
  readonly program?: readonly string[];
}
