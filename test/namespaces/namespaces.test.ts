import { beforeAll, expect, it } from 'vitest';
import {
  CLIENT_ADDRESS,
  HOST_ADDRESS,
  type Namespace,
  enter,
  makeClient,
  makeHost,
  runIn,
} from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { start } from '../harness/processes.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';

const DEADLINE_MS = 20_000;

describeWith([userNamespaces, tool('ip'), tool('socat')], 'a client namespace', () => {
  const suite = perSuite();
  const test = perTest();
  let host: Namespace;
  let client: Namespace;

  beforeAll(async () => {
    host = await makeHost(suite);
    client = await makeClient(suite, host);
  });

  it.each([
    ['TCP4', HOST_ADDRESS.v4, CLIENT_ADDRESS.v4],
    ['TCP6', `[${HOST_ADDRESS.v6}]`, '[fd00:0001:0000:0000:0000:0000:0000:0002]'],
  ])('reaches its host over %s, with its own address', async (family, address, peer) => {
    const listener = await start(
      test,
      enter(host, 'socat', `${family}-LISTEN:8080,reuseaddr,fork`, 'SYSTEM:echo $SOCAT_PEERADDR'),
    );
    const ask = () => runIn(client, ['socat', '-u', `${family}:${address}:8080`, '-']);

    expect(await listener.until(ask, DEADLINE_MS, 'an answer to the client')).toBe(`${peer}\n`);
  });
});
