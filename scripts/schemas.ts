/** Writes dist/schema: a JSON Schema for what each command prints with --json. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { TRANSPORTS } from '../src/msg/port.js';
import { statusSchema } from '../src/parent/api/client.js';
import { flowsSchema } from '../src/parent/api/flows.js';
import { infoSchema } from '../src/parent/api/info.js';
import { stateSchema } from '../src/parent/cli/top/state.js';
import type { Finding } from '../src/parent/doctor/finding.js';
import { stampedSchema } from '../src/parent/events/schema.js';
import type { Owner } from '../src/parent/probe/owner.js';
import type { Reason, ReasonCode } from '../src/parent/probe/reason.js';
import type { Verdict } from '../src/parent/probe/result.js';
import type { Dialled, View } from '../src/parent/probe/view.js';

const OUTPUT = join(import.meta.dirname, '../dist/schema');

const doctorFinding = z.strictObject({
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

const ip = z.string().describe('An IPv4 or IPv6 address.');
const port = z.int().min(1).max(65535);

const finding = {
  verdict: oneOf(VERDICTS),
  ms: z.number().describe('Milliseconds to what decided it.'),
  bytes: z.int().exactOptional().describe('Length of the answer.'),
  from: z.strictObject({ ip, port }).exactOptional().describe('Where the answer came from.'),
  errno: z.string().exactOptional().describe('Why it is unreachable, such as ENETUNREACH.'),
};
const probed = { transport: z.enum(TRANSPORTS), ip, port, ...finding };

const owner = z.strictObject({
  kind: z
    .enum(['container', 'namespace', 'nobody'])
    .describe("Whose the address is; `namespace`: the child's network namespace itself."),
  pid: z.int().exactOptional().describe('A process of the container.'),
  bound: z.array(ip).describe('Addresses there on which the port is taken, wildcards included.'),
  isPaused: z.boolean().describe('Every process of the container is stopped.'),
}) satisfies z.ZodType<Owner>;

const dialled = z.strictObject({
  ...probed,
  origin: z
    .enum(['rule', 'docker-proxy', 'port'])
    .describe("What names the address: a DNAT rule, docker-proxy's arguments, or the port's spec."),
  owner,
  within: z.strictObject(finding).exactOptional().describe('The same, from the container itself.'),
}) satisfies z.ZodType<Dialled>;

const REASONS = {
  notPublished: 'No port is published there.',
  otherAddress: 'The port is published on other addresses of the host.',
  notListening: 'Nobody has the port where it leads to.',
  wrongAddress: 'Somebody has, on other addresses.',
  firewall: 'Somebody listens, and what is sent is stopped on the way.',
  gone: 'Nobody has the address that the port leads to.',
  paused: 'All processes of the container are stopped.',
  ended: 'The server ends what it has accepted.',
  astray: 'The server answers from another address than was asked.',
  host: 'It answers inside, but not on the host.',
} satisfies Record<ReasonCode, string>;

const reason = z.strictObject({
  code: oneOf(REASONS),
  text: z.string().describe('What is the case, and what shows it.'),
  remedy: z.string(),
}) satisfies z.ZodType<Reason>;

const view = z.strictObject({
  ...probed,
  published: statusSchema.exactOptional(),
  inside: z
    .array(dialled)
    .exactOptional()
    .describe('What the driver dials for the port, in this order.'),
  reason: reason.exactOptional(),
}) satisfies z.ZodType<View>;

const SCHEMAS = {
  doctor: z.array(doctorFinding),
  event: stampedSchema,
  flows: flowsSchema,
  info: infoSchema,
  port: statusSchema,
  probe: view,
  state: stateSchema,
};

/** A schema of the keys, each with its text. */
function oneOf<T extends string>(texts: Readonly<Record<T, string>>) {
  return z.union(
    Object.entries<string>(texts).map(([value, text]) => z.literal(value as T).describe(text)),
  );
}

mkdirSync(OUTPUT, { recursive: true });
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const text = JSON.stringify(z.toJSONSchema(schema), null, 2);
  writeFileSync(join(OUTPUT, `${name}.json`), `${text}\n`);
}
