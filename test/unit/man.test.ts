/** The pages that `npm run build` has made, as mandoc(1) reads them. */
import { expect, it } from 'vitest';
import { join } from 'node:path';
import { tool } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { run } from '../harness/processes.js';
import { sluice } from '../harness/sluice.js';
import { describeWith } from '../harness/suite.js';
import { HELP_NOTE } from '../../src/parent/launcher/rootlesskit.js';
import { outputOf } from './support/cli.js';

const PAGES = ['sluice.1', 'docker-rootlesskit.1'];
/** After two spaces, as commander writes them: "  -p, --publish <spec...>  ports". */
const FLAGS = /^ {2}(?:(-\w), )?(--[\w-]+)/gm;

function fileOf(page: string): string {
  return join(REPOSITORY, 'dist/man', page);
}

function rendered(page: string): Promise<string> {
  return run(['sh', '-c', 'mandoc -T ascii "$0" | col -b', fileOf(page)]);
}

describeWith([tool('mandoc')], 'the man pages', () => {
  it.each(PAGES)('%s has nothing that mandoc warns of', async (page) => {
    expect(await outputOf(['mandoc', '-T', 'lint', '-W', 'warning', fileOf(page)])).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('have every command with every option of its help', async () => {
    const page = await rendered('sluice.1');
    const help = await run(sluice('--help'));
    const commands = [...help.matchAll(/^ {2}([a-z-]+) .*$/gm)].map(([, name = '']) => name);
    expect(commands.length).toBeGreaterThan(10);
    for (const command of commands.filter((name) => name !== 'help')) {
      const [, section = ''] = page.split(new RegExp(`^   ${command}$`, 'm'));
      const [own = ''] = section.split(/^ {0,3}\S/m);
      const flags = [...(await run(sluice(command, '--help'))).matchAll(FLAGS)];
      expect(flags.length).toBeGreaterThan(0);
      for (const [, short, long = ''] of flags) {
        const item = short === undefined ? long : `${short}, ${long}`;
        expect([command, own]).toEqual([command, expect.stringMatching(`\n     ${item}\\b`)]);
      }
    }
  });

  it('have the options that docker-rootlesskit adds', async () => {
    const page = await rendered('docker-rootlesskit.1');
    const options = [...HELP_NOTE.matchAll(/^ {2}(--[\w-]+=\w+)/gm)].map(([, option]) => option);
    expect(options.length).toBeGreaterThan(5);
    for (const option of options) expect(page).toContain(`\n     ${option}`);
  });
});
