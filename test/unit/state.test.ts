/** The port table on disk: what a driver writes, and what a later one reads. */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Status } from '../../src/msg/port.js';
import type { DriverEvent } from '../../src/parent/events/event.js';
import { type PortsState, StateFile } from '../../src/parent/state.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { perTest } from '../harness/suite.js';

const port = (id: number): Status => ({
  id,
  spec: { proto: 'tcp', parentIP: '127.0.0.1', parentPort: 8000 + id, childIP: '', childPort: 80 },
});

describe('the state file', () => {
  const cleanup = perTest();
  let folder: string;
  let path: string;
  let current: PortsState;
  let events: DriverEvent[];

  beforeEach(() => {
    folder = temporaryFolder(cleanup);
    path = join(folder, 'sluice.json');
    current = { lastId: 3, ports: [port(1), port(3)] };
    events = [];
  });

  const open = () =>
    new StateFile(
      folder,
      { pid: process.pid },
      () => current,
      (event) => events.push(event),
    );
  const lines = () => readFileSync(path, 'utf8').split('\n').length - 1;

  it('tells every change as soon as it was noted', async () => {
    const file = open();
    file.write();
    file.added(port(4));
    file.removed(1);
    file.added(port(5));
    file.removed(5);
    expect(await open().read()).toEqual({ lastId: 5, ports: [port(3), port(4)] });
    expect(lines()).toBe(5);
  });

  it('is written anew after a thousand changes', async () => {
    const file = open();
    file.write();
    for (let count = 0; count <= 1000; count++) file.removed(9);
    expect(lines()).toBe(1);
    expect(await open().read()).toEqual(current);
  });

  it('is written anew when somebody has removed it', async () => {
    const file = open();
    file.write();
    rmSync(path);
    file.added(port(4));
    expect(await open().read()).toEqual(current);
    expect(events).toEqual([]);
  });

  it('leaves out a last line that was cut short', async () => {
    open().write();
    appendFileSync(path, '{"removed":1}\n{"remov');
    expect(await open().read()).toEqual({ lastId: 3, ports: [port(3)] });
  });

  it('of an earlier version, which has one line without an end, is read', async () => {
    open().write();
    writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
    expect(await open().read()).toEqual(current);
  });

  it.each(['{"removed":0}', '{"added":{"id":4}}', 'null', '{"removed":1,"added":2}'])(
    'with the line %s is set aside',
    async (line) => {
      open().write();
      appendFileSync(path, `${line}\n`);
      expect(await open().read()).toBeUndefined();
      expect(events).toMatchObject([{ code: 'ERR_STATE_FILE' }]);
    },
  );

  it('that can’t be written is reported once, and no old one stays', async () => {
    const file = open();
    file.write();
    rmSync(folder, { recursive: true });
    file.added(port(4));
    file.added(port(5));
    expect(events).toMatchObject([{ type: 'problem', code: 'ERR_STATE_FILE' }]);
    expect(await open().read()).toBeUndefined();
  });
});
