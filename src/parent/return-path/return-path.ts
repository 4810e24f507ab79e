/**
 * Whether a target's replies to a client's address come back to the agent.
 *
 * An agent asks when a flow that bears its client's address meets silence. The answer is a property
 * of the target's routes and never of the silence: a firewall that drops a client is meant to, and
 * must not look like lost replies.
 */

import { type ExecFileException, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../../msg/errors.js';
import { type ChildContext, type Spec, type Transport, transportOf } from '../../msg/port.js';
import type { Address } from '../../msg/sockaddr.js';
import type {
  ReturnPath,
  ReturnPathQuestion as ReturnPathAsked,
} from '../../msg/source-address.js';
import { nodeEnvironment } from '../node-env.js';
import { netnsFile, nsenterOptions, systemPath } from '../nsenter.js';
import { programPath } from '../package-folder.js';

const PROGRAM = programPath('parent/return-path/inside-main.js');
const TIME_LIMIT_MS = 2000;

export type { ReturnPath };

/** The container's address that the flow was sent to. */
export type Target = Address & { readonly transport: Transport };

export interface ReturnPathQuestion {
  readonly child: ChildContext;
  /** Folders with nsenter, as in the environment variable. */
  readonly path?: string;
  readonly target: Target;
  /** An IP address without a port, of the target's family. */
  readonly client: string;
}

/** For the program inside, as JSON; its answer has a ReturnPath for each client. */
export interface Question {
  readonly target: Target;
  readonly clients: readonly string[];
}

interface Batch {
  readonly clients: Set<string>;
  readonly answers: Promise<ReadonlyMap<string, ReturnPath>>;
}

/** Batches that have not started yet, by place and target, and the ones that run. */
const waiting = new Map<string, Batch>();
const running = new Map<string, Promise<unknown>>();

/**
 * Never rejects: a failure is `failed`, with its reason. A program takes 2 s at most. Questions about
 * one target that come while a program runs for it wait for the end of it, and share the next one.
 */
export async function findReturnPath(question: ReturnPathQuestion): Promise<ReturnPath> {
  const { child, target, client, path = systemPath() } = question;
  const key = [netnsFile(child), target.transport, target.ip, target.port].join(' ');
  let batch = waiting.get(key);
  if (batch === undefined) {
    const clients = new Set<string>();
    const answers = (running.get(key) ?? Promise.resolve()).then(() => {
      waiting.delete(key);
      const run = answersOf(child, path, { target, clients: [...clients] });
      running.set(key, run);
      return run.finally(() => running.get(key) === run && running.delete(key));
    });
    batch = { clients, answers };
    waiting.set(key, batch);
  }
  batch.clients.add(client);
  const answers = await batch.answers;
  return answers.get(client) ?? failed('the program that looks for it gave no answer');
}

/** To an agent, about a target of the port with that Spec, which may be gone by now. */
export function answerOf(
  { target, client }: ReturnPathAsked,
  child: ChildContext,
  spec: Spec | undefined,
): Promise<ReturnPath> {
  const transport = spec === undefined ? 'tcp' : transportOf(spec.proto);
  return findReturnPath({ child, target: { ...target, transport }, client });
}

async function answersOf(
  child: ChildContext,
  path: string,
  question: Question,
): Promise<Map<string, ReturnPath>> {
  const { clients } = question;
  let found: readonly ReturnPath[];
  try {
    found = await askInside(child, path, question);
  } catch (error) {
    found = clients.map(() => failed(reasonOf(error)));
  }
  return new Map(clients.map((client, index) => [client, found[index] as ReturnPath]));
}

async function askInside(
  child: ChildContext,
  path: string,
  question: Question,
): Promise<ReturnPath[]> {
  const args = [
    ...nsenterOptions(child),
    '--',
    process.execPath,
    PROGRAM,
    JSON.stringify(question),
  ];
  const { stdout } = await promisify(execFile)('nsenter', args, {
    env: { ...nodeEnvironment(), PATH: path },
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  return JSON.parse(stdout) as ReturnPath[];
}

function failed(reason: string): ReturnPath {
  return { verdict: 'failed', scope: 'client', reason };
}

function reasonOf(error: unknown): string {
  const { code, killed, stderr = '' } = error as ExecFileException & { stderr?: string };
  if (code === 'ENOENT') return 'nsenter was not found on the PATH; install util-linux';
  if (killed) return `the program that looks for it did not end within ${TIME_LIMIT_MS} ms`;
  return stderr.trim() || messageOf(error);
}
