/** Writes dist/schema: a JSON Schema for what each command prints with --json. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { TRANSPORTS } from '../src/msg/port.js';
import { statusSchema } from '../src/parent/api/client.js';
import { flowsSchema } from '../src/parent/api/flows.js';
import { infoSchema } from '../src/parent/api/info.js';
import { stateSchema } from '../src/parent/cli/top/state.js';
import type { Finding } from '../src/parent/doctor/finding.js';
import { stampedSchema } from '../src/parent/events/event.js';
import type { ProbeResult, Verdict } from '../src/parent/probe/result.js';

const OUTPUT = join(import.meta.dirname, '../dist/schema');

const finding = z.strictObject({
  check: z.string().describe('What was looked at; stable.'),
  status: z
    .enum(['ok', 'warning', 'failure'])
    .describe('A warning costs something, a failure keeps ports from being published.'),
  text: z.string(),
  remedy: z.string().exactOptional().describe('A command that puts it right.'),
}) satisfies z.ZodType<Finding>;

const VERDICTS = {
  answered: 'Bytes came back.',
  connected: 'The connection stands; nobody has said anything.',
  unanswered: 'The connection stands; the payload got no answer in time.',
  closed: "Connected, and the server's end came at once, without a byte.",
  reset: 'The same as a reset.',
  refused: 'Somebody is there and says that nothing listens.',
  astray: 'An answer came from another address or port than was asked.',
  unreachable: 'No way leads there.',
  silent: 'Nothing came back in time.',
} satisfies Record<Verdict, string>;

const verdicts = Object.entries(VERDICTS).map(([verdict, text]) =>
  z.literal(verdict as Verdict).describe(text),
);

const ip = z.string().describe('An IPv4 or IPv6 address.');
const port = z.int().min(1).max(65535);

const probeResult = z.strictObject({
  transport: z.enum(TRANSPORTS),
  ip,
  port,
  verdict: z.union(verdicts),
  ms: z.number().describe('Milliseconds to what decided it.'),
  bytes: z.int().exactOptional().describe('Length of the answer.'),
  from: z.strictObject({ ip, port }).exactOptional().describe('Where the answer came from.'),
  errno: z.string().exactOptional().describe('Why it is unreachable, such as ENETUNREACH.'),
}) satisfies z.ZodType<ProbeResult>;

const SCHEMAS = {
  doctor: z.array(finding),
  event: stampedSchema,
  flows: flowsSchema,
  info: infoSchema,
  port: statusSchema,
  probe: probeResult,
  state: stateSchema,
};

mkdirSync(OUTPUT, { recursive: true });
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const text = JSON.stringify(z.toJSONSchema(schema), null, 2);
  writeFileSync(join(OUTPUT, `${name}.json`), `${text}\n`);
}
