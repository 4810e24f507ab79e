/**
 * Puts each program into one file of dist/programs/ with all that it imports: to find, read and link a
 * hundred modules takes longer than to run them, and a program that needs no file later is not
 * disturbed by an upgrade. They are CommonJS, which Node.js starts faster, each behind a file of its
 * name that runs it (entry.ts). koffi stays outside, since it has a native part. The licences of the
 * packages that are now part of these files are next to them.
 *
 * What a program imports is loaded when it starts: node:fs/promises, too, but `promises` of node:fs
 * when it is used.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build } from 'esbuild';

const FOLDER = join(import.meta.dirname, '..');

const PROGRAMS = join(FOLDER, 'dist/programs');

// Code of earlier builds has other names.
rmSync(PROGRAMS, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: FOLDER,
  entryPoints: [
    'src/child/loopback.ts',
    'src/child/main.ts',
    'src/parent/cli/docker-rootlesskit.ts',
    'src/parent/cli/main.ts',
    'src/parent/code-cache.ts',
    'src/parent/launcher/driver-main.ts',
    'src/parent/probe/inside-main.ts',
    'src/parent/source-address/notifier-main.ts',
    'src/parent/return-path/inside-main.ts',
  ],
  outbase: 'src',
  outdir: PROGRAMS,
  entryNames: '[dir]/[name].[hash]',
  bundle: true,
  platform: 'node',
  format: 'cjs',
  define: { 'import.meta.dirname': '__dirname' },
  target: 'node20.19',
  external: ['koffi'],
  // The same without its native part, which is for long texts.
  alias: { msgpackr: 'msgpackr/pack' },
  // A third of what V8 has to read through at each start.
  minifyWhitespace: true,
  minifySyntax: true,
  // As of the modules.
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  metafile: true,
});
for (const [file, { entryPoint }] of Object.entries(metafile.outputs)) {
  if (entryPoint !== undefined) await makeEntry(file, basename(entryPoint, '.ts'));
}
writeFileSync(join(PROGRAMS, 'package.json'), '{ "type": "commonjs" }\n');

const PACKAGE = /^node_modules\/(?:@[^/]+\/)?[^/]+/;
const packages = Object.keys(metafile.inputs).flatMap((file) => PACKAGE.exec(file) ?? []);
const licences = [...new Set(packages)].toSorted().map(licenceOf);
writeFileSync(join(FOLDER, 'dist/LICENSES.txt'), licences.join('\n\n'));

/** Beside the `code`, under the program's own name. */
async function makeEntry(code: string, name: string): Promise<void> {
  await build({
    entryPoints: [join(FOLDER, 'scripts/entry.ts')],
    outfile: join(FOLDER, dirname(code), `${name}.js`),
    platform: 'node',
    format: 'cjs',
    // Read by a Node.js that is too old as well, for check-node.cjs to say so.
    target: 'es2015',
    bundle: true,
    minify: true,
    define: { CODE: JSON.stringify(basename(code, '.js')) },
  });
}

function licenceOf(path: string): string {
  const folder = join(FOLDER, path);
  const manifest = readFileSync(join(folder, 'package.json'), 'utf8');
  const { name, version, license } = JSON.parse(manifest) as Record<string, string>;
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8'));
  return [`${name} ${version}: ${license}`, ...texts].join('\n\n');
}
