import * as z from 'zod';
import { sluice } from '../harness/sluice.js';
import { type Output, outputOf } from '../unit/support/cli.js';

const findingsSchema = z.array(
  z.strictObject({
    check: z.string(),
    status: z.enum(['ok', 'warning', 'failure']),
    text: z.string(),
    remedy: z.string().optional(),
  }),
);

export interface Diagnosis extends Output {
  /** As printed, without the padding of their first word. */
  readonly lines: readonly string[];
}

export interface Situation {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Shell commands that run first, as the user with all capabilities in namespaces of its own. */
  readonly before?: string;
  readonly args?: readonly string[];
}

const UNSHARE = ['unshare', '--user', '--map-current-user', '--keep-caps', '--mount', '--net'];

/** What `sluice doctor` says in a situation. */
export async function diagnose({ env = {}, before, args = [] }: Situation): Promise<Diagnosis> {
  const command = sluice('doctor', ...args);
  const output = await outputOf(
    before === undefined
      ? command
      : [...UNSHARE, 'sh', '-ec', `${before}\nexec "$@"`, 'sh', ...command],
    { env },
  );
  const lines = output.stdout.trimEnd().split('\n');
  return { ...output, lines: lines.map((line) => line.replace(/ {2,}/, ' ')) };
}

/** The lines for what --json printed. */
export function linesOf(json: string): string[] {
  return findingsSchema
    .parse(JSON.parse(json))
    .map(({ check, status, text, remedy }) =>
      [`${status} ${check}: ${text}`, ...(remedy === undefined ? [] : [remedy])].join('; run: '),
    );
}
