/** Firewall rules that `sluice probe` finds by what they do, and where it says that they are. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Transport } from '../../src/msg/port.js';
import { type Namespace, enter, runIn } from '../harness/namespaces.js';
import { tool, userNamespaces } from '../harness/needs.js';
import { describeWith, perSuite, perTest } from '../harness/suite.js';
import { run } from '../harness/processes.js';
import {
  CONTAINER,
  FAMILIES,
  type Family,
  PORT,
  PUBLISHED,
  type Published,
  WILDCARD,
  publishAll,
} from './probe-support.js';

const NEEDS = [userNamespaces, ...['ip', 'iptables', 'ip6tables', 'iptables-save'].map(tool)];

const TOOLS = { v4: 'iptables', v6: 'ip6tables' } as const;
/** The target, and what TCP makes of it. */
const TARGETS = [
  ['REJECT', 'refused'],
  ['REJECT --reject-with PROHIBITED', 'unreachable'],
  ['DROP', 'silent'],
] as const;
const PROHIBITED = { v4: 'icmp-admin-prohibited', v6: 'icmp6-adm-prohibited' } as const;
const CASES = FAMILIES.flatMap((family) => TARGETS.map((target) => [family, ...target] as const));

describeWith(NEEDS, 'a probe behind a firewall', () => {
  const suite = perSuite();
  const cleanup = perTest();
  let published: Published;

  beforeAll(async () => {
    published = await publishAll(suite);
  });

  /** A rule for what is sent to servers' port, or another one. */
  async function addRule(
    namespace: Namespace,
    family: Family,
    chain: 'INPUT' | 'OUTPUT',
    proto: Transport,
    target: string,
    port: number = PORT,
  ): Promise<void> {
    const rule = [chain, '--protocol', proto, '--dport', String(port), '--jump'];
    const jump = target.replace('PROHIBITED', PROHIBITED[family]).split(' ');
    // The machine's own lock file is root's.
    const env = { XTABLES_LOCKFILE: '/proc/self/comm' };
    const change = (action: string) =>
      runIn(namespace, [TOOLS[family], action, ...rule, ...jump], { env });
    await change('--append');
    cleanup.defer(() => change('--delete'));
  }

  /** What the remedy prints, typed on the host. */
  async function followed(remedy: string): Promise<string> {
    const [, command = ''] = /^find it with: (.*)$/.exec(remedy) ?? [];
    return run(enter(published.host, 'sh', '-c', command));
  }

  describe.each(CASES)('over %s with %s', (family, target, verdict) => {
    const where = family === 'v6' ? `[${CONTAINER.v6}]:${PORT}` : `${CONTAINER.v4}:${PORT}`;
    const somebody = `somebody listens on ${where} in the container`;
    const saved = (chain: string, proto: string) =>
      `-A ${chain} -p ${proto} -m ${proto} --dport ${PORT} -j ${target.split(' ')[0]}`;

    it('names the child namespace as the place of a rule for TCP', async () => {
      await published.serve(cleanup, 'answers', 'tcp', WILDCARD[family]);
      await addRule(published.child, family, 'OUTPUT', 'tcp', target);
      const view = await published.view('tcp', family);
      expect(view.inside).toMatchObject([{ verdict, within: { verdict: 'answered' } }]);
      expect(view.reason).toMatchObject({
        code: 'firewall',
        text: `${somebody}, but a firewall rule in the child namespace stops what is sent there`,
      });
      expect(await followed(view.reason?.remedy ?? '')).toContain(saved('OUTPUT', 'tcp'));
    });

    it('names the container as the place of a rule for TCP', async () => {
      await published.serve(cleanup, 'answers', 'tcp', WILDCARD[family]);
      await addRule(published.container, family, 'INPUT', 'tcp', target);
      const view = await published.view('tcp', family);
      expect(view.inside).toMatchObject([{ verdict, within: { verdict } }]);
      const overload = verdict === 'silent' ? ', or its server takes no more connections' : '';
      expect(view.reason).toMatchObject({
        code: 'firewall',
        text: `${somebody}, but a firewall rule in the container stops what is sent there${overload}`,
      });
      expect(await followed(view.reason?.remedy ?? '')).toContain(saved('INPUT', 'tcp'));
    });

    it('names the child namespace as the place of a rule for UDP', async () => {
      await published.serve(cleanup, 'answers', 'udp', WILDCARD[family]);
      await addRule(published.child, family, 'OUTPUT', 'udp', target);
      const view = await published.view('udp', family);
      expect(view.inside).toMatchObject([{ within: { verdict: 'answered' } }]);
      expect(view.reason).toMatchObject({
        code: 'firewall',
        text: `${somebody}, but a firewall rule in the child namespace stops what is sent there`,
      });
    });
  });

  it.each([
    ['tcp', 'DROP', 'silent'],
    ['tcp', 'REJECT', 'refused'],
    ['udp', 'DROP', 'silent'],
    ['udp', 'REJECT', 'refused'],
  ] as const)('of %s says that it is the host’s, by its %s', async (proto, target, verdict) => {
    await published.serve(cleanup, 'answers', proto, WILDCARD.v4);
    await addRule(published.host, 'v4', 'INPUT', proto, target, PUBLISHED.v4);
    const view = await published.view(proto, 'v4');
    expect(view).toMatchObject({ verdict, inside: [{ verdict: 'answered' }] });
    expect(view.reason).toMatchObject({
      code: 'host',
      text: 'it answers inside, so what is in the way is on the host',
    });
  });

  it('names the child namespace for a server that takes a payload and says nothing', async () => {
    await published.serve(cleanup, 'listens', 'tcp', 'dual');
    await addRule(published.child, 'v4', 'OUTPUT', 'tcp', 'DROP');
    const { views } = await published.views('--text', 'hello', `127.0.0.1:${PUBLISHED.v4}`);
    expect(views).toMatchObject([{ inside: [{ within: { verdict: 'unanswered' } }] }]);
    expect(views[0]?.reason?.text).toContain('a firewall rule in the child namespace');
  });

  it('does not take silence for a rule where UDP is silent in the container, too', async () => {
    await published.serve(cleanup, 'answers', 'udp', WILDCARD.v4);
    await addRule(published.container, 'v4', 'INPUT', 'udp', 'DROP');
    const view = await published.view('udp', 'v4');
    expect(view.inside).toMatchObject([{ verdict: 'silent', within: { verdict: 'silent' } }]);
    expect(view.reason).toBeUndefined();
  });
});
