/** Ports that a process of Docker's has: programs of that name stand for it. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { Transport } from '../../src/msg/port.js';
import { type Namespace, enter, makeHost } from '../harness/namespaces.js';
import { tool } from '../harness/needs.js';
import { type Program, start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { DEADLINE_MS, DNAT_NEEDS, IPV4, publish, reporting } from './dnat-support.js';

const CONTAINER = { ip: '172.17.0.3', port: 80 };
const RULE_TARGET = { ip: '172.17.0.2', port: 80 };
const BY_PROXY = { targets: [CONTAINER], origin: 'docker-proxy', isHeld: true };
/** Finds no tool, so that whoever asks for rules has a problem. */
const NO_TOOLS = { path: '/nowhere' };

const SOCKET_TYPES = { tcp: 'SOCK_STREAM', udp: 'SOCK_DGRAM', sctp: 'SOCK_STREAM' } as const;

/** Binds the port, as dockerd does, and listens when it gets SIGUSR1. */
const HOLD = `
  use Socket; $| = 1;
  socket(S, PF_INET, TYPE, 0) && bind(S, sockaddr_in(${IPV4.port}, INADDR_LOOPBACK)) or die $!;
  $SIG{USR1} = sub { listen(S, 1) or die $!; print "listening\n" };
  print "ready\n"; sleep 1 while 1;`;

const LISTEN = `require('node:net').createServer().listen(${IPV4.port}, '127.0.0.1', () => console.log('ready'))`;

interface ProxyOptions {
  /** The command that gives it namespaces of its own. */
  readonly unshare?: readonly string[];
  readonly name?: string;
  readonly proto?: Transport;
  readonly hostIP?: string;
}

describeWith([...DNAT_NEEDS, tool('perl')], 'a port of Docker', () => {
  const cleanup = perTest();
  let child: Namespace;

  beforeEach(async () => {
    child = await makeHost(cleanup);
  });

  /** Runs a program under another name. */
  async function runAs(name: string, unshare: readonly string[], ...command: readonly string[]) {
    const script = `exec -a ${name} "$@"`;
    const program = [...unshare, 'bash', '-c', script, 'bash', ...command];
    const started = await start(cleanup, enter(child, ...program));
    await started.line(/^ready$/m, DEADLINE_MS);
    return started;
  }

  function runProxy(
    ip: string = CONTAINER.ip,
    { unshare = [], name = 'docker-proxy', proto = 'tcp', hostIP = IPV4.ip }: ProxyOptions = {},
  ): Promise<Program> {
    const program = 'console.log("ready"); setInterval(() => {}, 1000)';
    const options = `-proto ${proto} -host-ip ${hostIP} -host-port ${IPV4.port} -container-ip ${ip} -container-port 80`;
    const command = [process.execPath, '-e', program, '--', ...options.split(' ')];
    return runAs(name, unshare, ...command);
  }

  function hold(proto: Transport): Promise<Program> {
    const program = HOLD.replace('TYPE', SOCKET_TYPES[proto]);
    return runAs('dockerd', [], 'perl', '-e', program);
  }

  describe('that docker-proxy has', () => {
    it("is its container's, without a look at the rules", async () => {
      const { resolver, problems } = reporting(child, NO_TOOLS);
      await runProxy();

      expect(await resolver.find(IPV4)).toEqual(BY_PROXY);
      expect(problems).toEqual([]);
    });

    it("is the container's that rootlesskit-docker-proxy names for an address of the host", async () => {
      await runProxy(CONTAINER.ip, { name: 'rootlesskit-docker-proxy', hostIP: '0.0.0.0' });

      expect(await reporting(child).resolver.find(IPV4)).toEqual(BY_PROXY);
    });

    it.each([
      ['an address that no container has', '127.0.0.1', []],
      ['a network namespace of its own', CONTAINER.ip, ['unshare', '--net']],
      ['a mount namespace of its own', CONTAINER.ip, ['unshare', '--mount']],
      ['a user namespace of its own', CONTAINER.ip, ['unshare', '--user']],
    ])('is not believed with %s', async (_, ip, unshare: string[]) => {
      await publish(child, '172.17.0.2:80');
      await runProxy(ip, { unshare });

      expect(await reporting(child).resolver.find(IPV4)).toEqual({
        targets: [RULE_TARGET],
        origin: 'rule',
        isHeld: false,
      });
    });
  });

  describe('that dockerd holds', () => {
    it.each(['tcp', 'udp'] as const)(
      'is waited for over %s until docker-proxy has it',
      async (proto) => {
        const { resolver } = reporting(child, NO_TOOLS);
        await hold(proto);
        const found = resolver.find({ ...IPV4, proto });
        await runProxy(CONTAINER.ip, { proto });

        expect(await found).toEqual(BY_PROXY);
      },
    );

    it('costs no look at the rules before dockerd listens', async () => {
      const { resolver, problems } = reporting(child, NO_TOOLS);
      await hold('tcp');
      const found = resolver.find(IPV4);
      await runProxy();

      expect(await found).toEqual(BY_PROXY);
      expect(problems).toEqual([]);
    });

    it("is waited for until a rule leads on, and is never the agent's to dial", async () => {
      const dockerd = await hold('tcp');
      const found = reporting(child).resolver.find(IPV4);
      dockerd.signal('SIGUSR1');
      await dockerd.line(/^listening$/m, DEADLINE_MS);
      await publish(child, '172.17.0.2:80');

      expect(await found).toEqual({ targets: [RULE_TARGET], origin: 'rule', isHeld: true });
    });

    it('is waited for by many at once', async () => {
      const { resolver } = reporting(child, NO_TOOLS);
      await hold('tcp');
      const found = Array.from({ length: 100 }, () => resolver.find(IPV4));
      await runProxy();

      expect(await Promise.all(found)).toEqual(found.map(() => BY_PROXY));
    });

    it('leads nowhere, and is told of once, where neither comes', async () => {
      const { resolver, problems } = reporting(child);
      await hold('udp');
      const query = { ...IPV4, proto: 'udp' } as const;

      const nowhere = { targets: [], origin: 'rule', isHeld: true };
      expect(await resolver.find(query)).toEqual(nowhere);
      expect(await resolver.find(query)).toEqual(nowhere);
      expect(problems).toEqual([
        'ERR_DNAT_NOWHERE: dockerd holds 127.0.0.1:8080/udp, but neither a DNAT rule nor docker-proxy leads on to a container, so its clients are refused; is dockerd running with both --iptables=false and --userland-proxy=false?',
      ]);
    });

    it('is anybody’s again once dockerd has let go', async () => {
      const dockerd = await hold('tcp');
      const found = reporting(child).resolver.find(IPV4);
      await dockerd.end();

      expect(await found).toMatchObject({ targets: [], isHeld: false });
    });

    it('is dialled where it is the API of dockerd itself', async () => {
      await runAs('dockerd', [], process.execPath, '-e', LISTEN);

      expect(await reporting(child).resolver.find(IPV4)).toMatchObject({ isHeld: false });
    });
  });
});
