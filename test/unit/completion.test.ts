/** Completion as it is used: in shells on a terminal, by the Tab key. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { tool } from '../harness/needs.js';
import { pathWith } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { commandsFolder, sluice } from '../harness/sluice.js';
import { describeWith, perTest } from '../harness/suite.js';
import { outputOf } from './support/cli.js';
import { startTerminal, type Terminal } from '../harness/terminal.js';

// A program is started for every press of the key.
vi.setConfig({ testTimeout: 180_000 });

const TWO_TABS = 'sluice list-ports --\t\t';

const SETUPS = {
  bash: { file: '.bashrc', text: `PS1='ready> '`, command: 'bash -i', list: TWO_TABS },
  zsh: { file: '.zshrc', text: `PS1='ready> '`, command: 'zsh -d -i', list: TWO_TABS },
  fish: {
    file: '.config/fish/config.fish',
    text: `set fish_autosuggestion_enabled 0; function fish_prompt; echo 'ready> '; end`,
    command: 'fish -i',
    // Its pager needs a terminal that can do more.
    list: 'complete --do-complete "sluice list-ports --"\n',
  },
} as const;

/** What is typed, T being the Tab key, and the line that comes of it. */
const CASES: readonly (readonly [string, string])[] = [
  ['sluice uninsT', 'sluice uninstall'],
  ['sluice uninstall dT', 'sluice uninstall docker'],
  ['sluice completion zT', 'sluice completion zsh'],
  ['sluice list-ports --jT', 'sluice list-ports --json'],
  ['sluice run --udp-timeout-sT', 'sluice run --udp-timeout-stream'],
  ['sluice attach --child-host-ip tT', 'sluice attach --child-host-ip tap'],
  ['sluice attach --child-host-ip=tT', 'sluice attach --child-host-ip=tap'],
  ['sluice run --source-ip-transparent fT', 'sluice run --source-ip-transparent false'],
  ['sluice probe --file thing.T', 'sluice probe --file thing.txt'],
  ['sluice attach --state-dir foT', 'sluice attach --state-dir folder'],
  ['sluice run -p 80:80/tcp -- sluice-test-prT', 'sluice run -p 80:80/tcp -- sluice-test-program'],
  ['sluice run cat thing.T', 'sluice run cat thing.txt'],
  // A value that may be anything, and an option of another command.
  ['sluice probe thingT', 'sluice probe thing'],
  ['sluice list-ports --dry-T', 'sluice list-ports --dry-'],
];

/** What the help says to type, to have it in every new shell. */
async function hintFor(shell: string): Promise<string> {
  const help = await run(sluice('completion', '--help'));
  return new RegExp(`^ {2}${shell} +(echo .*)$`, 'm').exec(help)?.[1] ?? 'false';
}

for (const [shell, { file, text, command, list }] of Object.entries(SETUPS)) {
  describeWith([tool('script'), tool(shell)], `${shell} on a terminal`, () => {
    const cleanup = perTest();

    async function startShell(): Promise<Terminal> {
      const home = temporaryFolder(cleanup);
      mkdirSync(dirname(join(home, file)), { recursive: true });
      writeFileSync(join(home, file), `${text}\n`);
      writeFileSync(join(home, 'thing.txt'), '');
      writeFileSync(join(home, 'folded.txt'), '');
      mkdirSync(join(home, 'folder'));
      const commands = commandsFolder(cleanup);
      writeFileSync(join(commands, 'sluice-test-program'), '#!/bin/sh\n');
      chmodSync(join(commands, 'sluice-test-program'), 0o755);
      const paths = { HOME: home, ZDOTDIR: home, PATH: pathWith(commands) };
      const env = { ...paths, XDG_CONFIG_HOME: undefined, XDG_DATA_HOME: undefined, TERM: 'dumb' };
      await run(['sh', '-c', await hintFor(shell)], { env });
      return startTerminal(cleanup, command, { cwd: home, env });
    }

    it('completes commands, options, their values, files and programs', async () => {
      const terminal = await startShell();
      for (const [typed, line] of CASES) {
        expect([typed, await terminal.lineOf(typed.replace('T', '\t'))]).toEqual([typed, line]);
      }
    });

    it('lists what there is', async () => {
      const terminal = await startShell();
      await terminal.type(list);
      await terminal.shows(/--json/);
      const [listed] = await terminal.shows(/--(json|help)[^]*--(json|help)/);
      expect(listed).not.toContain('--publish');
    });
  });
}

it('without a shell is refused', async () => {
  expect(await outputOf(sluice('completion', 'tcsh'))).toEqual({
    code: 1,
    stdout: '',
    stderr:
      "sluice: command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish.\n",
  });
});
