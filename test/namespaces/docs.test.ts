/** What the pages tell users to type is typed, in order, on a "host" with rootless Docker's programs. */
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cleanup, temporaryFolder } from '../harness/cleanup.js';
import { enterAsUser, makeHostWithSubids } from '../harness/host-with-subids.js';
import { makeClient } from '../harness/namespaces.js';
import { docker as needsDocker } from '../harness/needs.js';
import { type Page, readPages, scriptOf } from '../harness/pages.js';
import { DOCKER_PATH, DOCKER_PREFIX, pathWith, REPOSITORY, which } from '../harness/paths.js';
import { run, start } from '../harness/processes.js';
import { endShims } from '../harness/shims.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';

const PAGES = readPages();
/** npm's packages, and compiling twice. */
const MACHINE_MS = 600_000;
const PAGE_MS = 240_000;
/** For what comes before and after the page. */
const TEST_MS = 300_000;
const GRACE_MS = 30_000;
const LANGUAGES = ['sh', 'text', 'json', 'ts', 'ini', 'yaml', ''];

// nginx's image is this machine's busybox: there is no registry. `docker_answers` imports it.
const PRELUDE = `
exec 2>&1
set -eE -o pipefail -m
trap 'echo "failed: $BASH_COMMAND" ' ERR
trap 'trap - ERR; set +e; for job in $(jobs -p); do kill -- -$job; done; wait' EXIT
docker_answers() {
  docker version && { docker image inspect nginx || docker import \
    --change 'CMD ["/bin/busybox", "httpd", "-f", "-v", "-p", "80", "-h", "/www"]' \
    --change 'STOPSIGNAL SIGKILL' "$HOME/image.tar" nginx; }
}
`;

/** What is to be typed on the machine. */
function installation(): string {
  const all = PAGES.flatMap(({ blocks }) => blocks);
  return all.flatMap(({ words, text }) => (words === 'machine' ? text : [])).join('\n');
}

describe('the pages', () => {
  it.each(PAGES)('$name has blocks of known languages, and links that lead somewhere', (page) => {
    for (const { language, line } of page.blocks) {
      expect([line, LANGUAGES.includes(language)]).toEqual([line, true]);
    }
    const links = [...page.text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(
      ([, link = '']) => link,
    );
    const missing = links.filter(
      (link) => !existsSync(resolve(REPOSITORY, dirname(page.name), link)),
    );
    expect(missing).toEqual([]);
  });
});

describeWith([needsDocker], 'what is typed', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let installed: string;
  let home: string;
  let env: Record<string, string | undefined>;

  /** As README says, in a copy of the checkout, and with a home folder of its own. */
  beforeAll(async () => {
    installed = temporaryFolder(suite);
    const checkout = join(temporaryFolder(suite), 'sluice');
    const copy = `mkdir "$0" && tar -c --exclude=./node_modules --exclude=./.git . | tar -x -C "$0"`;
    await run(['sh', '-c', copy, checkout], { cwd: REPOSITORY });
    await run(['bash', '-e', '-c', installation()], {
      cwd: checkout,
      env: { HOME: installed, PATH: `${join(installed, '.local/bin')}:${pathWith()}` },
      deadlineMs: MACHINE_MS,
    });
  }, MACHINE_MS);

  beforeEach(() => {
    home = temporaryFolder(new Cleanup());
    // Only the user namespace's root may remove what belongs to its other users.
    const remove = ['unshare', '--user', '--map-auto', '--map-root-user', 'rm', '-rf', home];
    cleanup.defer(() => run(remove));
    cleanup.defer(() => endShims(home));
    const runtime = join(home, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    mkdirSync(join(home, '.config/docker'), { recursive: true });
    writeFileSync(join(home, '.config/docker/daemon.json'), '{"storage-driver": "vfs"}');
    env = {
      HOME: home,
      XDG_RUNTIME_DIR: runtime,
      XDG_DATA_HOME: undefined,
      XDG_CONFIG_HOME: undefined,
      DOCKER_HOST: `unix://${runtime}/docker.sock`,
      PATH: pathWith(
        join(installed, '.local/bin'),
        ...DOCKER_PATH,
        join(DOCKER_PREFIX, 'usr/share/docker.io/contrib'),
      ),
    };
  });

  async function packImage(): Promise<void> {
    const root = join(home, 'root');
    for (const name of ['bin', 'www']) mkdirSync(join(root, name), { recursive: true });
    copyFileSync(which('busybox') ?? '', join(root, 'bin/busybox'));
    symlinkSync('busybox', join(root, 'bin/sh'));
    writeFileSync(join(root, 'www/index.html'), 'Welcome to nginx!\n');
    await run(['tar', '-C', root, '--owner=0', '--group=0', '-cf', join(home, 'image.tar'), '.']);
  }

  async function typed(page: Page): Promise<void> {
    await packImage();
    const host = await makeHostWithSubids(cleanup);
    await makeClient(cleanup, host);
    const { script, outputs } = scriptOf(page, PRELUDE);
    const file = join(home, 'page.sh');
    writeFileSync(file, script);
    const program = await start(cleanup, enterAsUser(host, 'bash', file), {
      env,
      cwd: home,
      graceMs: GRACE_MS,
    });
    const { code } = await program.exited(PAGE_MS).catch((error: unknown) => {
      throw new Error(`hangs: ${program.describe()}`, { cause: error });
    });
    if (code !== 0) throw new Error(`exit code ${code} of ${program.describe()}`);
    const printed = new Map(
      program.stdout
        .split(/^@@ /m)
        .slice(1)
        .map((part) => [Number.parseInt(part), part.slice(part.indexOf('\n') + 1)]),
    );
    for (const [line, pattern] of outputs) {
      expect([line, printed.get(line)]).toEqual([line, expect.stringMatching(pattern)]);
    }
  }

  const pages = PAGES.filter(({ blocks }) =>
    blocks.some(({ language, words }) => language === 'sh' && !words.startsWith('not-run: ')),
  );
  it.each(pages)('on $name works', typed, TEST_MS);
});
