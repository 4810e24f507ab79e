import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import type { DriverEvent } from '../../src/parent/events/event.js';
import type { LogOptions } from '../../src/parent/log/options.js';
import { outputOf } from './support/cli.js';

const LOG = new URL('../../dist/parent/log/log.js', import.meta.url);

const SPEC = { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8080, childPort: 80 } as const;
const ADDED: DriverEvent = { type: 'portAdded', port: 3, spec: SPEC };
const REPLACED: DriverEvent = {
  type: 'agentReplaced',
  reason: 'the agent ended by SIGKILL',
  pauseMs: 0,
};

/** Runs `body` in a program of its own with a `log`, and returns what it wrote on stderr. */
async function logged(options: LogOptions, body: string): Promise<string> {
  const program = `
    import { Log } from '${LOG.href}';
    import { fstatSync } from 'node:fs';
    const log = new Log(${JSON.stringify(options)});
    ${body}
  `;
  const { code, stdout, stderr } = await outputOf([
    process.execPath,
    '--input-type=module',
    '-e',
    program,
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  return stderr;
}

function event(one: DriverEvent): string {
  return `log.event(${JSON.stringify(one)});`;
}

it('a port on a healthy day is no line of the log, an agent that died is one', async () => {
  const text = await logged({}, event(ADDED) + event(REPLACED));
  expect(text).toMatch(
    /^level=warn time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z app=sluice event=agentReplaced pauseMs=0 msg="the agent ended by SIGKILL; starting another"\n$/,
  );
});

it('an event names its port and its spec', async () => {
  const text = await logged({ level: 'info' }, event(ADDED));
  expect(text).toMatch(
    / event=portAdded port=3 spec=127\.0\.0\.1:8080:80\/tcp msg="published 127\.0\.0\.1:8080:80\/tcp"\n$/,
  );
});

it('every line of a JSON log is an object', async () => {
  const text = await logged({ level: 'info', format: 'json' }, event(ADDED) + event(REPLACED));
  const [added, replaced] = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(added).toEqual({
    level: 'info',
    time: expect.stringMatching(/Z$/) as unknown,
    app: 'sluice',
    event: 'portAdded',
    port: 3,
    spec: '127.0.0.1:8080:80/tcp',
    msg: 'published 127.0.0.1:8080:80/tcp',
  });
  expect(replaced).toMatchObject({ level: 'warn', event: 'agentReplaced' });
});

it('an event is one line whatever it quotes', async () => {
  const reason = 'first\nsecond "quoted" \u001b[31m\\';
  const text = await logged({}, event({ type: 'problem', code: 'ERR_DNAT', reason }));
  expect(text).toMatch(/ code=ERR_DNAT msg="first\\nsecond \\"quoted\\" \\u001b\[31m\\\\"\n$/);
});

it('the journal gets priorities and no times, and only where stderr is the journal', async () => {
  const isIt = 'const { dev, ino } = fstatSync(2); process.env.JOURNAL_STREAM = `${dev}:${ino}`;';
  const isNot = "process.env.JOURNAL_STREAM = '1:2';";
  const events = event(ADDED) + event(REPLACED);
  const toJournal = await logged({ level: 'info' }, isIt + events);
  expect(toJournal).toMatch(/^<6>level=info app=sluice .*\n<4>level=warn app=sluice .*\n$/);
  const elsewhere = await logged({ level: 'info' }, isNot + events);
  expect(elsewhere).toMatch(/^level=info time=.*\nlevel=warn time=.*\n$/);
});

it('a flood of one kind is cut to ten lines and told in one; other kinds are not held back', async () => {
  const flood = `for (let n = 0; n < 1000; n++) ${event(REPLACED)}`;
  const text = await logged({ level: 'info' }, `${flood} ${event(ADDED)} log.flush();`);
  const lines = text.trimEnd().split('\n');
  expect(lines.filter((line) => line.includes('starting another'))).toHaveLength(10);
  expect(lines.at(-2)).toContain('event=portAdded');
  expect(lines.at(-1)).toMatch(
    /level=warn .* event=agentReplaced msg="990 more of these were not logged"$/,
  );
  expect(lines).toHaveLength(12);
});

it('a line that nobody reads does not end the process', async () => {
  const program = `
    import { Log } from '${LOG.href}';
    const log = new Log();
    process.stdin.resume().on('end', () => {
      ${event(REPLACED)}
      setImmediate(() => process.exit(7));
    });
  `;
  const stdio = ['pipe', 'ignore', 'pipe'] as const;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: [...stdio],
  });
  child.stderr?.destroy();
  await once(child.stderr ?? child, 'close');
  child.stdin?.end();
  expect(await once(child, 'exit')).toEqual([7, null]);
});
