/** UDP servers that are processes of the namespace: they answer, and `/v1/info` says what they see. */
import { expect, it } from 'vitest';
import { LOCAL_SERVERS } from '../../src/parent/source-ip-info.js';
import { HOST_ADDRESS, makeClient, makeHost } from '../harness/namespaces.js';
import { describeWith, perTest } from '../harness/suite.js';
import { startDriver, udpAnswersTo } from './driver-support.js';
import { NEEDS } from './source-address-setup-support.js';

const PORT = 8053;

/** Tells every client its address. */
const SERVER = `
  const [host] = process.argv.slice(1);
  const udp = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4')
    .on('message', (_, { port, address }) => udp.send(address, port, address))
    .bind(${PORT}, host, () => console.log('serving'));`;

describeWith(NEEDS, 'a UDP server of the namespace itself', () => {
  const test = perTest();

  it.each([
    ['127.0.0.1', 'v4', '127.0.0.1'],
    ['0.0.0.0', 'v4', '127.0.0.1'],
    ['::1', 'v6', '::1'],
  ] as const)('on %s sees the agent, and the info says so', async (host, family, seen) => {
    const outside = await makeHost(test);
    const client = await makeClient(test, outside);
    const command = [process.execPath, '--eval', SERVER, '--', host];
    const driver = await startDriver(test, outside, { command });
    const proto = family === 'v4' ? 'udp4' : 'udp6';
    await driver.add({ proto, parentPort: PORT, childPort: PORT, childIP: seen });
    expect(await udpAnswersTo(client, [[HOST_ADDRESS[family], PORT]])).toEqual([seen]);
    const { portDriver } = await driver.info();
    expect(portDriver?.sourceIP).toMatchObject({
      protos: { [proto]: { kept: true, except: LOCAL_SERVERS } },
      flows: { kept: 0, without: { local: 1 } },
    });
  });
});
