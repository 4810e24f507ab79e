import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../harness/cleanup.js';
import { type Namespace, makeHost, runIn } from '../harness/namespaces.js';
import { which } from '../harness/paths.js';
import { start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';
import { until } from '../harness/wait.js';
import {
  DEADLINE_MS,
  DNAT_NEEDS,
  FIXTURES,
  IPV4,
  programs,
  publish,
  reporting,
} from './dnat-support.js';

const TARGET = { ip: '172.17.0.2', port: 80 };

describeWith(DNAT_NEEDS, 'a reader of DNAT rules', () => {
  const cleanup = perTest();
  let child: Namespace;

  beforeEach(async () => {
    child = await makeHost(cleanup);
  });

  it('reports a tool that hangs once, and goes by the others', async () => {
    await publish(child, '172.17.0.2:80');
    const { path } = programs(cleanup, { nft: { script: 'exec sleep infinity' } });
    const { resolver, problems } = reporting(child, { path, timeLimitMs: 1000 });

    expect(await resolver.resolve(IPV4)).toEqual([TARGET]);
    await resolver.resolve(IPV4);
    expect(problems).toEqual(['ERR_DNAT_TOOL: nft did not end within 1000 ms']);
  });

  it('reports a tool that prints without end', async () => {
    const { path } = programs(cleanup, { nft: { script: 'exec yes' } });
    const { resolver, problems } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([]);
    expect(problems).toEqual(['ERR_DNAT_TOOL: nft printed more than 8388608 bytes']);
  });

  it('reports a tool that fails with what it says', async () => {
    const script = 'echo "no table nat" >&2; echo more >&2; exit 3';
    const { path } = programs(cleanup, { 'iptables-nft': { script } });
    const { resolver, problems } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([]);
    expect(problems).toEqual([
      'ERR_DNAT_TOOL: iptables-nft --wait -t nat -S failed in the child namespaces with exit code 3: no table nat',
    ]);
  });

  it('reports the refusal of a kernel without iptables-legacy', async () => {
    const { path } = programs(cleanup, {
      grep: { script: 'echo /proc/net/ip_tables_names:nat' },
      'iptables-legacy': { script: `echo "can't initialize iptables table nat" >&2; exit 3` },
    });
    await publish(child, '172.17.0.2:80');
    const { resolver, problems } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([TARGET]);
    expect(problems).toEqual([
      "ERR_DNAT_TOOL: iptables-legacy --wait -t nat -S failed in the child namespaces with exit code 3: can't initialize iptables table nat",
    ]);
  });

  it('runs the tools that the engine sees', async () => {
    const rule = '-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80';
    const { folder, path } = programs(cleanup, {});
    const install = `mount -t tmpfs tmpfs ${folder}
      printf '#!/bin/sh\necho "%s"\n' '${rule}' >${folder}/iptables-nft
      chmod 0755 ${folder}/iptables-nft`;
    await runIn(child, ['sh', '-e', '-c', install]);
    const { resolver } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([TARGET]);
  });

  it('does without nft, and without the names of the variants of iptables', async () => {
    await publish(child, '172.17.0.2:80');
    const { folder } = programs(cleanup, {
      nsenter: { link: 'nsenter' },
      grep: { link: 'grep' },
      iptables: { link: 'iptables-nft' },
    });
    const { resolver, problems } = reporting(child, { path: folder });

    expect(await resolver.resolve(IPV4)).toEqual([TARGET]);
    expect(problems).toEqual([]);
  });

  it('reports that there is no tool at all', async () => {
    const { folder } = programs(cleanup, {
      nsenter: { link: 'nsenter' },
      grep: { link: 'grep' },
    });
    const { resolver, problems } = reporting(child, { path: folder });

    expect(await resolver.resolve(IPV4)).toEqual([]);
    expect(problems).toEqual([
      'ERR_DNAT_NO_TOOLS: neither iptables nor nft was found in the child namespaces; install iptables or nftables',
    ]);
  });

  it('reports that there is no nsenter', async () => {
    const path = join(temporaryFolder(cleanup), 'empty');
    mkdirSync(path);
    const { resolver, problems } = reporting(child, { path });

    expect(await resolver.resolve(IPV4)).toEqual([]);
    expect(problems).toContain(
      'ERR_DNAT_TOOL: nsenter was not found on the PATH; install util-linux',
    );
  });

  it('reports that the child namespaces are gone', async () => {
    const gone = await start(cleanup, ['true']);
    await gone.exited(DEADLINE_MS);
    const { resolver, problems } = reporting({ pid: gone.pid });

    expect(await resolver.resolve(IPV4)).toEqual([]);
    expect(problems.join()).toContain(`nsenter: cannot open /proc/${gone.pid}/ns/user`);
  });

  it('makes nft list a whole ruleset only for an engine that writes nftables directly', async () => {
    await publish(child, '172.17.0.2:80');
    const log = join(temporaryFolder(cleanup), 'log');
    const { path } = programs(cleanup, {
      nft: { script: `echo "$@" >>${log}; exec ${which('nft')} "$@"` },
    });
    const { resolver } = reporting(child, { path });
    await resolver.resolve(IPV4);

    expect(readFileSync(log, 'utf8')).toBe('-j list chains\n');
  });

  it('answers a hundred queries at once by one reading', async () => {
    await publish(child, '172.17.0.2:80');
    const log = join(temporaryFolder(cleanup), 'log');
    const { path } = programs(cleanup, {
      nft: { script: `echo reading >>${log}; exec ${which('nft')} "$@"` },
    });
    const { resolver } = reporting(child, { path });
    const answers = await Promise.all(Array.from({ length: 100 }, () => resolver.resolve(IPV4)));

    expect(answers).toEqual(answers.map(() => [TARGET]));
    expect(readFileSync(log, 'utf8')).toBe('reading\n');
  });

  it('reads again for a query that comes while the rules are being read', async () => {
    const rules = readFileSync(join(FIXTURES, 'moby-29.nft'));
    const folder = temporaryFolder(cleanup);
    const script = `rules=$(${which('nft')} "$@"); : >${folder}/read
      while [ -d ${folder} ] && ! [ -e ${folder}/go ]; do sleep 0.02; done; printf '%s' "$rules"`;
    const { path } = programs(cleanup, { nft: { script } });
    const { resolver } = reporting(child, { path });
    const early = resolver.resolve(IPV4);
    await until(() => existsSync(join(folder, 'read')), DEADLINE_MS, 'the first reading');
    await runIn(child, ['nft', '-f', '-'], { input: rules });
    const late = resolver.resolve(IPV4);
    writeFileSync(join(folder, 'go'), '');

    expect(await early).toEqual([]);
    expect(await late).toEqual([TARGET]);
  });
});
