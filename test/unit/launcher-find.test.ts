import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findRootlesskit } from '../../src/parent/launcher/find.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { REPOSITORY } from '../harness/paths.js';
import { perTest } from '../harness/suite.js';

const OWN = join(REPOSITORY, 'src/parent/cli/docker-rootlesskit.ts');

function program(folder: string, name: string, text = '#!/bin/sh\n'): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

describe('the search for the real rootlesskit', () => {
  const cleanup = perTest();

  it('prefers docker-rootlesskit, as dockerd-rootless.sh does', () => {
    const folder = temporaryFolder(cleanup);
    program(join(folder, 'a'), 'rootlesskit');
    const expected = program(join(folder, 'b'), 'docker-rootlesskit');
    expect(findRootlesskit({ PATH: `${folder}/a:${folder}/b` })).toBe(expected);
  });

  it('passes over links to this program, under any name', () => {
    const folder = temporaryFolder(cleanup);
    for (const name of ['docker-rootlesskit', 'rootlesskit']) {
      symlinkSync(OWN, join(folder, name));
    }
    const expected = program(join(folder, 'real'), 'rootlesskit');
    expect(findRootlesskit({ PATH: `${folder}:${folder}/real` })).toBe(expected);
  });

  it('passes over scripts that start this program', () => {
    const folder = temporaryFolder(cleanup);
    program(folder, 'rootlesskit', `#!/bin/sh\nexec node "${OWN}" "$@"\n`);
    const expected = program(join(folder, 'real'), 'rootlesskit');
    expect(findRootlesskit({ PATH: `${folder}:${folder}/real` })).toBe(expected);
  });

  it('passes over folders and files that are not executable', () => {
    const folder = temporaryFolder(cleanup);
    mkdirSync(join(folder, 'a/rootlesskit'), { recursive: true });
    chmodSync(program(join(folder, 'b'), 'rootlesskit'), 0o644);
    const expected = program(join(folder, 'c'), 'rootlesskit');
    expect(findRootlesskit({ PATH: `${folder}/a:${folder}/b:${folder}/c` })).toBe(expected);
  });

  it('takes SLUICE_ROOTLESSKIT instead of any other', () => {
    const folder = temporaryFolder(cleanup);
    program(folder, 'rootlesskit');
    const chosen = program(join(folder, 'other'), 'rk');
    expect(findRootlesskit({ PATH: folder, SLUICE_ROOTLESSKIT: chosen })).toBe(chosen);
  });

  it.each([
    ['missing', 'is not an executable file'],
    ['folder', 'is not a file'],
    ['a script of ours', 'is sluice itself'],
    ['a link to us', 'is sluice itself'],
  ])('refuses a SLUICE_ROOTLESSKIT of the kind: %s', (name, reason) => {
    const folder = temporaryFolder(cleanup);
    mkdirSync(join(folder, 'folder'));
    program(folder, 'a script of ours', `#!/bin/sh\nexec node "${OWN}" "$@"\n`);
    symlinkSync(OWN, join(folder, 'a link to us'));
    const chosen = join(folder, name);
    expect(() => findRootlesskit({ PATH: '', SLUICE_ROOTLESSKIT: chosen })).toThrow(
      `SLUICE_ROOTLESSKIT is "${chosen}", which ${reason}; set it to the path of the real rootlesskit, or unset it to search the PATH`,
    );
  });

  it('says where it looked and what to do when there is none', () => {
    const folder = temporaryFolder(cleanup);
    expect(() => findRootlesskit({ PATH: folder })).toThrow(
      `no rootlesskit on the PATH (${folder}); install it (Debian, Ubuntu, Fedora: the package rootlesskit), or set SLUICE_ROOTLESSKIT to its path`,
    );
  });
});
