import { expect, it } from 'vitest';
import type { Owner } from '../../src/parent/probe/owner.js';
import { reasonFor } from '../../src/parent/probe/reason.js';
import type { ProbeResult, Verdict } from '../../src/parent/probe/result.js';
import type { Dialled } from '../../src/parent/probe/view.js';

const CHILD = { pid: 4711 };
const TARGET = { transport: 'tcp', port: 80, ms: 1 } as const;

function onHost(verdict: Verdict): ProbeResult {
  return { ...TARGET, ip: '127.0.0.1', verdict };
}

function inside(ip: string, verdict: Verdict, more: Partial<Dialled & Owner> = {}): Dialled {
  const { origin = 'port', kind = 'container', bound = [], isPaused = false } = more;
  return { ...TARGET, ip, verdict, origin, owner: { kind, bound, isPaused } };
}

function codeFor(verdict: Verdict, ...dialled: readonly Dialled[]): string | undefined {
  return reasonFor(onHost(verdict), dialled, CHILD)?.code;
}

it('an answer on the host needs no reason, whatever a second client found inside', () => {
  expect(codeFor('answered', inside('172.17.0.2', 'refused'))).toBeUndefined();
});

it('one address inside that works is enough', () => {
  const [bad, good] = [inside('127.0.0.1', 'refused'), inside('::1', 'connected')];
  expect(codeFor('connected', bad, good)).toBeUndefined();
  expect(codeFor('reset', bad, good)).toBe('host');
});

it('a container behind a loopback address counts before that address', () => {
  const own = inside('127.0.0.1', 'reset', { kind: 'namespace', bound: ['127.0.0.1'] });
  expect(codeFor('reset', own)).toBe('ended');
  const container = inside('172.17.0.2', 'refused', { origin: 'docker-proxy' });
  expect(codeFor('reset', own, container)).toBe('notListening');
});

it('what is found out about one address counts before nothing at another', () => {
  const empty = inside('127.0.0.1', 'refused', { kind: 'namespace' });
  const elsewhere = inside('::1', 'refused', { kind: 'namespace', bound: ['fd00::7'] });
  expect(codeFor('reset', empty, elsewhere)).toBe('wrongAddress');
});

it('a connection without an answer to the payload is nobody’s fault', () => {
  expect(codeFor('unanswered', inside('172.17.0.2', 'unanswered'))).toBeUndefined();
});
