/** Which network modes publish a port, and what a user is told, with builtin and with us. */
import { beforeAll, expect, it } from 'vitest';
import { type Docker, type DockerOptions, sluiceOptions, startDocker } from '../harness/docker.js';
import { docker as needsDocker } from '../harness/needs.js';
import { freePort } from '../harness/ports.js';
import { describeWith, perSuite } from '../harness/suite.js';
import { IPV4, IPV6, answering, expectRefused } from './docker-support.js';

const PUBLISHED = ['0.0.0.0', '::'];

/** What a user sees of `docker run -p` in a network mode. */
interface Seen {
  /** Of docker's error, where the container did not start. */
  readonly refusal?: string;
  /** Host addresses of rootlesskit's API, and of `docker port`. */
  readonly api: readonly string[];
  readonly docker: readonly string[];
  readonly answers: boolean;
}

const NOTHING: Seen = { api: [], docker: [], answers: false };
const ON_BOTH: Seen = { api: PUBLISHED, docker: ['0.0.0.0', '[::]'], answers: true };

const MODES: readonly (readonly [mode: string, options: readonly string[], seen: Seen])[] = [
  ['the default', [], ON_BOTH],
  ['bridge', ['--network=bridge'], ON_BOTH],
  ['a network of the user', ['--network=own'], ON_BOTH],
  ['an internal network', ['--network=inside'], NOTHING],
  ['none', ['--network=none'], NOTHING],
  ['host', ['--network=host'], NOTHING],
  [
    'container',
    ['--network=container:owner'],
    {
      ...NOTHING,
      refusal: 'conflicting options: port publishing and the container type network mode',
    },
  ],
];

const DRIVERS = [
  ['builtin', () => ({ portDriver: 'builtin' })],
  ['sluice', sluiceOptions],
] as const satisfies readonly (readonly [string, (cleanup: never) => DockerOptions])[];

for (const [driver, optionsOf] of DRIVERS) {
  describeWith([needsDocker], `docker run -p with port driver ${driver}`, () => {
    const suite = perSuite();
    let docker: Docker;

    beforeAll(async () => {
      docker = await startDocker(suite, optionsOf(suite));
      await docker.docker('network', 'create', 'own');
      await docker.docker('network', 'create', '--internal', 'inside');
    });

    async function see(options: readonly string[]): Promise<Seen> {
      const port = await freePort();
      await docker.runWeb('--name=owner');
      let refusal: string | undefined;
      const start = docker.runWeb('--name=web', ...options, '-p', `${port}:80`);
      const id = await start.catch((error: unknown) => {
        refusal = /conflicting options: [^.\n]*/.exec(String(error))?.[0] ?? String(error);
      });
      const lines = refusal === undefined ? await docker.docker('port', 'web') : '';
      const listed = (await docker.ports()).filter(({ spec }) => spec.parentPort === port);
      const isPublished = listed.length > 0;
      if (!isPublished) await expectRefused(port, IPV4, IPV6);
      const names = isPublished ? [await answering(port, IPV4), await answering(port, IPV6)] : [];
      return {
        ...(refusal !== undefined && { refusal }),
        // The builtin driver lists them in any order.
        api: listed.map(({ spec }) => spec.parentIP ?? '').toSorted(),
        docker: [...lines.matchAll(/-> (.*):\d+$/gm)].map(([, address = '']) => address),
        answers: names.length > 0 && names.every((name) => id?.startsWith(name)),
      };
    }

    it.each(MODES)('on network %s', async (_, options, expected) => {
      try {
        expect(await see(options)).toEqual(expected);
      } finally {
        await docker.removeContainers();
      }
      expect(await docker.ports()).toEqual([]);
    });
  });
}
