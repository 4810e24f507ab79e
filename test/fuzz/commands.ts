/** What users and engines ask for: port specs, the REST API, rootlesskit's command line. */
import * as fc from 'fast-check';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { formatPortSpec, parsePortSpec } from '../../src/msg/spec.js';
import { answer } from '../../src/parent/api/routes.js';
import { parseCommandLine, parseHelp, wordsWithout } from '../../src/parent/launcher/options.js';
import { MemoryManager } from '../unit/support/manager.js';
import { plainInfo } from '../unit/support/api.js';
import { damaged, nearly } from './garbage.js';
import { must, outcome, targetOf } from './target.js';

const SPEC_WORDS = [
  ...'127.0.0.1|0.0.0.0|[::1]|[::]|[fe80::1%eth0]|[::ffff:1.2.3.4]|8080|80|0|65535|65536|08'.split(
    '|',
  ),
  ...':|:|:|:|/tcp|/udp|/sctp|/tcp4|/tcp6|/|[|]|%|.|localhost'.split('|'),
];
const SPEC = ['[::1]', ':', '8080', ':', '127.0.0.1', ':', '80', '/tcp'];
const SPECS: readonly unknown[] = [
  { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childIP: '127.0.0.1', childPort: 80 },
  { proto: 'udp6', parentIP: '::', parentPort: 53, childPort: 53 },
];
const STATUSES: readonly number[] = [200, 201, 400, 404, 405, 413];

export const specs = targetOf('specs', nearly(SPEC_WORDS, SPEC), (text) => {
  const result = outcome(() => parsePortSpec(text));
  if (!('value' in result)) return must(result.code === 'ERR_SPEC', result.code);
  const again = parsePortSpec(formatPortSpec(result.value));
  must(isDeepStrictEqual(again, result.value), 'a spec survives being written');
});

const body = fc.oneof(
  damaged(SPECS).map((value) => outcomeText(value)),
  nearly([
    '{',
    '}',
    '"proto"',
    ':',
    '"tcp"',
    ',',
    '"parentPort"',
    '8080',
    '[',
    ']',
    '1e999',
    '\\u0000',
  ]),
);
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'POST', 'POST', 'DELETE', 'PUT', ''),
  url: fc.oneof(
    fc.constantFrom('/v1/ports', '/v1/ports', '/v1/info'),
    nearly(
      ['/', 'v1', 'ports', 'info', '1', '-1', '%2e', '..', '?', '9'.repeat(20)],
      ['/', 'v1', '/', 'ports', '/', '1'],
    ),
  ),
  body,
  cut: fc.nat(40),
});

export const rest = targetOf('rest', request, async ({ method, url, body: text, cut }) => {
  const bytes = Buffer.from(text);
  const stream = Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)]);
  const incoming = Object.assign(stream, { method, url, headers: {} });
  const manager = new MemoryManager();
  const backend = { manager, info: async () => plainInfo('/run/state') };
  const { status, body: said } = await answer(backend, incoming as unknown as IncomingMessage);
  must(STATUSES.includes(status), `status ${status}: ${JSON.stringify(said)}`);
  must(status === 201 ? manager.ports.size === 1 : manager.ports.size === 0, `${status} is true`);
});

const HELP = `OPTIONS:
  --debug                      debug mode (default: false)
  --net value                  network driver [host, slirp4netns]
  --port-driver value          port driver. [none, builtin]
  --publish value, -p value [ --publish value, -p value ]  publish ports
  --state-dir value
`;
const WORDS = [
  ...'--debug|-debug|--net|--net=host|-p|-p=1:2/tcp|--publish|--port-driver=sluice'.split('|'),
  ...'--port-driver|sluice|--|-|--=|---x|=|sh|-c|--state-dir=|--unknown|'.split('|'),
];

export const rootlesskitOptions = targetOf(
  'rootlesskit options',
  fc.array(fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 6 })), { maxLength: 8 }),
  (args) => {
    const line = parseCommandLine(args, parseHelp(HELP));
    if (line === undefined) return;
    const words = wordsWithout(line);
    const after = args.slice(words.length);
    const command = after[0] === '--' ? after.slice(1) : after;
    must(isDeepStrictEqual(args.slice(0, words.length), words), 'every option keeps its words');
    must(isDeepStrictEqual(line.command, command), 'the rest is the command');
  },
);

export const rootlesskitHelp = targetOf(
  'rootlesskit help',
  nearly(['  --', ' -', 'net', 'publish', ' value', '\n', '  ', ', ', '[', ']', HELP]),
  (help) => {
    for (const name of parseHelp(help).keys()) must(/^[\w-]+$/.test(name), `option ${name}`);
  },
);

/** Some of `damaged` has no JSON form. */
function outcomeText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'undefined';
  } catch {
    return '{';
  }
}
