import { expect, it } from 'vitest';
import { SourceAddresses } from '../../dist/child/source.js';
import { encodeSockAddr } from '../../dist/msg/sockaddr.js';
import { ReturnPaths } from '../../dist/child/return-paths.js';
import { withFreeFds } from './support/socketpair.js';

const CLIENT = encodeSockAddr({ ip: '198.51.100.9', port: 40_000 });
const WATCHERS = { returnPaths: new ReturnPaths(() => true), onLoss: () => {} };
const SERVER = encodeSockAddr({ ip: '172.17.0.2', port: 80 });

it('a client is judged without a file descriptor to look at the networks with', () => {
  const sources = new SourceAddresses({ reachesLocalServers: true }, WATCHERS);
  sources.policy = { ipv4: true, ipv6: true, isRequired: false };
  withFreeFds(0, () => expect(sources.lossFor(CLIENT, SERVER)).toBeUndefined());
});
