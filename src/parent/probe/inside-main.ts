/**
 * A program of its own, in the child's namespaces: probes the addresses that it is told on stdin,
 * and prints what it found out.
 */
import { text } from 'node:stream/consumers';
import { messageOf } from '../../msg/errors.js';
import type { Answer, Question } from './inside.js';
import { ownerOf, readNamespaces } from './owner.js';
import { findingOf } from './probe.js';

async function answer({ endpoints, payload, timeoutMs }: Question): Promise<Answer[]> {
  const namespaces = readNamespaces();
  const options = {
    timeoutMs,
    ...(payload !== undefined && { payload: Buffer.from(payload, 'base64') }),
  };
  const answers = endpoints.map(async (endpoint) => {
    const [finding, owner] = await Promise.all([
      findingOf(endpoint, options),
      ownerOf(endpoint, namespaces),
    ]);
    return { finding, owner };
  });
  return Promise.all(answers);
}

async function main(): Promise<void> {
  const question = JSON.parse(await text(process.stdin)) as Question;
  process.stdout.write(JSON.stringify(await answer(question)));
}

main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
});
