import { chmodSync, copyFileSync, readFileSync, realpathSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Proto } from '../../src/msg/port.js';
import { explainBindError } from '../../src/parent/bind-error.js';
import { temporaryFolder } from '../harness/cleanup.js';
import { userNamespaces } from '../harness/needs.js';
import { REPOSITORY } from '../harness/paths.js';
import { run, start } from '../harness/processes.js';
import { describeWith, perTest } from '../harness/suite.js';

const cleanup = perTest();
const UNPRIVILEGED_START = Number(
  readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'),
);
const NODE = realpathSync(process.execPath);

/** The port that a real listener got, or the errno name that it failed with. */
function listen(server: Server, host: string, port: number): Promise<number | string> {
  cleanup.defer(() => new Promise((resolve) => server.close(resolve)));
  return new Promise((resolve) => {
    server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    server.listen({ host, port, ipv6Only: true }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : '');
    });
  });
}

async function explain(errno: string, address: string, port: number, proto: Proto = 'tcp') {
  const { code, message } = await explainBindError(errno, { address, port, proto });
  return { code, message };
}

/** A listener in a process of its own. */
async function listenElsewhere(
  host: string,
  node = process.execPath,
): Promise<{ pid: number; port: number }> {
  const program = await start(cleanup, [
    node,
    '-e',
    `const server = require('node:net').createServer();
     server.listen({ host: process.argv[1], port: 0, ipv6Only: true }, () => console.log('port', server.address().port));`,
    host,
  ]);
  const [, port] = await program.line(/^port (\d+)$/m, 10_000);
  return { pid: program.pid, port: Number(port) };
}

describe('a privileged port', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1:80/tcp'],
    ['::', '[::]:80/tcp'],
  ])('on %s comes with the sysctl and setcap', async (address, shown) => {
    expect(await explain('EACCES', address, 80)).toEqual({
      code: 'ERR_BIND_FORBIDDEN',
      message:
        `cannot listen on ${shown}: port 80 is privileged, the lowest port allowed is ` +
        `${UNPRIVILEGED_START}, for IPv4 and IPv6 alike; choose a port from ${UNPRIVILEGED_START}, ` +
        'or allow this one with `sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80` ' +
        `or \`sudo setcap cap_net_bind_service=ep ${NODE}\``,
    });
  });

  test.skipIf(process.getuid?.() === 0 || UNPRIVILEGED_START === 0)(
    'is what the kernel refuses with EACCES, on both families',
    async () => {
      for (const host of ['127.0.0.1', '::1']) {
        expect(await listen(createServer(), host, UNPRIVILEGED_START - 1)).toBe('EACCES');
      }
    },
  );

  test('is not blamed for what is forbidden above the limit', async () => {
    expect(await explain('EACCES', '127.0.0.1', 65_000)).toEqual({
      code: 'ERR_BIND_FORBIDDEN',
      message:
        'cannot listen on 127.0.0.1:65000/tcp: EACCES, although ports from ' +
        `${UNPRIVILEGED_START} are open to every user; look for a rule of AppArmor, SELinux or seccomp`,
    });
  });
});

describe('a port in use', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0', '0.0.0.0'],
    ['0.0.0.0', '127.0.0.1', '127.0.0.1'],
    ['::1', '::1', '[::1]'],
    ['::1', '::', '[::]'],
    ['::', '::1', '[::1]'],
  ])('by a listener on %s names its process to one on %s', async (theirs, ours, shown) => {
    const { pid, port } = await listenElsewhere(theirs);
    expect(await listen(createServer(), ours, port)).toBe('EADDRINUSE');
    const name = readFileSync(join('/proc', String(pid), 'comm'), 'utf8').trim();
    expect(await explain('EADDRINUSE', ours, port)).toEqual({
      code: 'ERR_BIND_IN_USE',
      message: `cannot listen on ${shown}:${port}/tcp: the port is in use by ${name} (pid ${pid}); stop it or choose another port`,
    });
  });

  test('by an outgoing connection names its process', async () => {
    const { port } = await listenElsewhere('127.0.0.1');
    const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1' });
    cleanup.defer(() => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
    const local = socket.localPort ?? 0;
    const name = readFileSync('/proc/self/comm', 'utf8').trim();
    const { message } = await explain('EADDRINUSE', '127.0.0.1', local);
    expect(message).toContain(`the port is in use by ${name} (pid ${process.pid}); `);
  });

  test.skipIf(process.getuid?.() === 0)(
    'by a process that hides its files names the user',
    async () => {
      // proc(5): what may be executed but not read is not dumpable, and its fd folder is root's.
      const node = join(temporaryFolder(cleanup), 'node');
      copyFileSync(process.execPath, node);
      chmodSync(node, 0o111);
      const { port } = await listenElsewhere('127.0.0.1', node);
      const { message } = await explain('EADDRINUSE', '127.0.0.1', port);
      expect(message).toBe(
        `cannot listen on 127.0.0.1:${port}/tcp: the port is in use by a process of this user (uid ${process.getuid?.()}) that cannot be looked into; stop it or choose another port`,
      );
    },
  );

  test('on another address is not taken for the one that is in the way', async () => {
    const { port } = await listenElsewhere('127.0.0.2');
    expect(await explain('EADDRINUSE', '127.0.0.1', port)).toEqual({
      code: 'ERR_BIND_IN_USE',
      message: `cannot listen on 127.0.0.1:${port}/tcp: the port is in use by a socket that /proc/net does not list; choose another port`,
    });
  });
});

describe('an address', () => {
  test('that is not on this host comes with the way to list those that are', async () => {
    // 198.51.100.0/24 is for documentation: RFC 5737.
    expect(await listen(createServer(), '198.51.100.77', 0)).toBe('EADDRNOTAVAIL');
    expect(await explain('EADDRNOTAVAIL', '198.51.100.77', 8080, 'tcp4')).toEqual({
      code: 'ERR_BIND_NO_ADDRESS',
      message:
        'cannot listen on 198.51.100.77:8080/tcp4: 198.51.100.77 is not an address of this host; `ip -brief address` lists those',
    });
  });

  describeWith([userNamespaces], 'of IPv6', () => {
    test('where IPv6 is switched off comes with the sysctl', async () => {
      const module = JSON.stringify(join(REPOSITORY, 'src/parent/bind-error.ts'));
      const script = `import(${module})
        .then((m) => m.explainBindError('EADDRNOTAVAIL', { address: '::1', port: 8080, proto: 'tcp' }))
        .then((error) => console.log(error.message));`;
      const unshare = ['unshare', '--user', '--map-root-user', '--net'];
      const disable = 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; exec "$@"';
      const node = [process.execPath, '--import', 'tsx', '-e', script];
      const output = await run([...unshare, 'sh', '-ec', disable, 'sh', ...node]);
      expect(output.trim()).toBe(
        'cannot listen on [::1]:8080/tcp: IPv6 is switched off (net.ipv6.conf.all.disable_ipv6=1); publish on an IPv4 address or switch it on with `sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0`',
      );
    });
  });

  test('of IPv6 on a kernel without it comes with the IPv4 protocol', async () => {
    expect(await explain('EAFNOSUPPORT', '::', 8080, 'tcp6')).toEqual({
      code: 'ERR_BIND_NO_IPV6',
      message:
        'cannot listen on [::]:8080/tcp6: this kernel runs without IPv6; publish on an IPv4 address, with tcp4',
    });
  });
});

test('too many open files come with the limits', async () => {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const [, soft, hard] = /Max open files +(\d+) +(\d+)/.exec(limits) ?? [];
  expect(await explain('EMFILE', '127.0.0.1', 8080)).toEqual({
    code: 'ERR_BIND_FILES',
    message: `cannot listen on 127.0.0.1:8080/tcp: the limit of ${soft} open files is reached (hard limit ${hard}); raise it with \`ulimit -n\`, or LimitNOFILE= in a systemd unit, and start again`,
  });
});

test('any other error is named', async () => {
  expect(await explain('ENOBUFS', '127.0.0.1', 8080)).toEqual({
    code: 'ERR_BIND',
    message: 'cannot listen on 127.0.0.1:8080/tcp: ENOBUFS',
  });
});
