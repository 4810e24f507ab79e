import { describe, expect, test } from 'vitest';
import { exhaustedBy, type FlowCount, Overload } from '../../src/child/overload.js';
import * as linux from '../../src/msg/linux.js';
import type { ShedCounts } from '../../src/msg/overload.js';
import { shedReport } from '../../src/parent/shed-report.js';

const NONE = {
  files: 0,
  systemFiles: 0,
  memory: 0,
  watches: 0,
  maxFlows: 0,
  maxFlowsPerPort: 0,
  sessions: 0,
  backlog: 0,
};
const REPORT_MS = 1000;

function started() {
  const reports: ShedCounts[] = [];
  const overload = new Overload((counts) => reports.push(counts));
  return { overload, reports };
}

describe('flows', () => {
  test('are admitted without end where there is no limit', () => {
    const { overload } = started();
    const port = { flows: 0 };
    for (let count = 0; count < 10_000; count++) expect(overload.admit(port)).toBe(undefined);
    expect(port.flows).toBe(10_000);
  });

  test('are limited for each port and in total, and one that has left makes room', () => {
    const { overload } = started();
    overload.limits = { maxFlows: 3, maxFlowsPerPort: 2, maxFlowsPerSharedPort: 1, agents: 2 };
    const [one, other] = [{ flows: 0 }, { flows: 0 }];
    const admitted = [one, one, one, other, other].map((port) => overload.admit(port));
    expect(admitted).toEqual([undefined, undefined, 'maxFlowsPerPort', undefined, 'maxFlows']);
    overload.left(one);
    expect(overload.admit(other)).toBe(undefined);
    expect(overload.admit(one)).toBe('maxFlows');
    expect([one.flows, other.flows]).toEqual([1, 2]);
  });

  test('of a port that other agents have as well have a limit of their own', () => {
    const { overload } = started();
    overload.limits = { maxFlows: 0, maxFlowsPerPort: 2, maxFlowsPerSharedPort: 1, agents: 2 };
    const [shared, own] = [
      { flows: 0, isShared: true },
      { flows: 0, isShared: false },
    ];
    const admitted = [shared, shared, own, own, own].map((port) => overload.admit(port));
    const limit = 'maxFlowsPerPort';
    expect(admitted).toEqual([undefined, limit, undefined, undefined, limit]);
  });

  test('over a limit take the place of one that may be given up, of the same port for the limit of a port', () => {
    const { overload } = started();
    overload.limits = { maxFlows: 3, maxFlowsPerPort: 2, maxFlowsPerSharedPort: 1, agents: 2 };
    let spare = 1;
    const one = { flows: 0, makeRoom: () => give(one) };
    const other = { flows: 0 };
    const give = (port: FlowCount) => {
      if (spare === 0) return false;
      spare--;
      overload.left(port);
      return true;
    };
    overload.makeRoom = () => give(other);
    const admitted = [one, one, one, one, other].map((port) => overload.admit(port));
    expect(admitted).toEqual([undefined, undefined, undefined, 'maxFlowsPerPort', undefined]);
    spare = 1;
    expect([other, other].map((port) => overload.admit(port))).toEqual([undefined, 'maxFlows']);
    expect([one.flows, other.flows]).toEqual([2, 1]);
  });
});

describe('what was shed', () => {
  test('is told once for all that came within a second', () => {
    const { overload, reports } = started();
    const before = performance.now();
    expect(overload.nextMs(before)).toBe(-1);
    overload.shed('files');
    overload.shed('memory');
    overload.shed('files');
    const dueAt = performance.now() + REPORT_MS;
    expect(overload.nextMs(before + 500)).toBeGreaterThan(0);
    overload.expire(before + 500);
    expect(reports).toEqual([]);
    overload.expire(dueAt);
    overload.expire(dueAt + REPORT_MS);
    expect(reports).toEqual([{ ...NONE, files: 2, memory: 1 }]);
    expect(overload.nextMs(dueAt)).toBe(-1);
  });

  test('is told by its reason and with what helps', () => {
    expect(shedReport({ ...NONE, files: 300, maxFlows: 1 })).toBe(
      'the agent shed flows: 300 because its limit of open files is reached: raise it with `ulimit -Hn` or, in a systemd unit, LimitNOFILE=; 1 because the limit of --max-flows is reached',
    );
  });

  test('says of those that could not even be refused that they wait', () => {
    const stuck =
      'new connections wait, and can not even be refused: others take every file or all memory that the system has; see /proc/sys/fs/file-nr and `free` (tried 10 times)';
    expect(shedReport({ ...NONE, backlog: 10 })).toBe(stuck);
    expect(shedReport({ ...NONE, maxFlows: 1, backlog: 10 })).toBe(
      `the agent shed flows: 1 because the limit of --max-flows is reached; ${stuck}`,
    );
  });

  test.each([
    ['EMFILE', linux.EMFILE, 'files'],
    ['ENFILE', linux.ENFILE, 'systemFiles'],
    ['ENOMEM', linux.ENOMEM, 'memory'],
    ['ENOBUFS', linux.ENOBUFS, 'memory'],
    ['ENOSPC', linux.ENOSPC, 'watches'],
    ['ECONNREFUSED', -111, undefined],
    ['EAGAIN', linux.EAGAIN, undefined],
  ])('for %s is known', (_, error, reason) => {
    expect(exhaustedBy(error)).toBe(reason);
  });
});
