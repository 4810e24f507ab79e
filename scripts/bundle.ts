/**
 * Puts each program of dist/ into one file with all that it imports: to find, read and link a
 * hundred modules takes longer than to run them, and a program that needs no file later is not
 * disturbed by an upgrade. koffi stays outside, since it finds its native part by itself.
 */
import { join } from 'node:path';
import { build } from 'esbuild';

/** What CommonJS code has and an ES module has not. */
const BANNER = `
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url), module = { exports: {} };
const ownFolder = import.meta.dirname;`;

await build({
  absWorkingDir: join(import.meta.dirname, '..'),
  entryPoints: [
    'src/child/loopback.ts',
    'src/child/main.ts',
    'src/parent/cli/docker-rootlesskit.ts',
    'src/parent/cli/main.ts',
    'src/parent/launcher/driver-main.ts',
    'src/parent/probe/inside-main.ts',
  ],
  outbase: 'src',
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  // In an ES module imports of Node's own modules are loaded at the start, needed or not.
  format: 'cjs',
  define: { 'import.meta.dirname': 'ownFolder' },
  target: 'node20.19',
  external: ['koffi'],
  // The same without its native part, which is for long texts.
  alias: { msgpackr: 'msgpackr/pack' },
  banner: { js: BANNER },
  // As of the modules.
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
});
