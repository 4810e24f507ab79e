// The servers of one benchmark turn, in the child namespace: iperf3, nginx, a TCP echo and udp-sink.mjs.
// Plain JavaScript, so that it starts without a compiler: it may run as root of a new namespace.
//
// Usage: servers.mjs FOLDER ADDRESS IPERF_PORT HTTP_PORT ECHO_PORT UDP_PORT
// Connects to FOLDER/control.sock, says "ready PID" once all of them are there, and lives as long as
// that connection does.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const READY_TIMEOUT_MS = 10_000;
const POLL_MS = 20;
/** States of sockets in /proc/net/tcp and udp (net/tcp_states.h): listening, and unconnected. */
const STATES = { tcp: '0A', udp: '07' };

const [folder = '', address = '', ...ports] = process.argv.slice(2);
const [iperfPort = 0, httpPort = 0, echoPort = 0, udpPort = 0] = ports.map(Number);

// One process without a master, as root of the namespace: it may have no other user id.
const nginxConfig = `
daemon off; master_process off; user root; pid ${folder}/nginx.pid; error_log stderr;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path ${folder}/nginx-body; proxy_temp_path ${folder}/nginx-proxy;
  fastcgi_temp_path ${folder}/nginx-fastcgi; uwsgi_temp_path ${folder}/nginx-uwsgi;
  scgi_temp_path ${folder}/nginx-scgi;
  server {
    listen ${address}:${httpPort} backlog=4096;
    location / { return 200 "ok\\n"; }
    location = /client { return 200 "$remote_addr\\n"; }
  }
}
`;

/** @type {Set<import('node:child_process').ChildProcess>} */
const servers = new Set();

/**
 * Ends with this process, whichever way that ends (prctl(2), PR_SET_PDEATHSIG).
 * @param {string} file
 * @param {string[]} args
 */
function serve(file, ...args) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  servers.add(child);
  child.on('exit', (code, signal) => {
    servers.delete(child);
    if (!control.destroyed) {
      console.error(`${file} ended: ${signal ?? code}`);
      control.destroy();
    }
    if (servers.size === 0) {
      process.exit();
    }
  });
}

/**
 * Seen without connecting, because iperf3 takes every connection for a client.
 * @param {number} port
 * @param {'tcp' | 'udp'} table
 */
function isListening(port, table = 'tcp') {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync(`/proc/self/net/${table}`, 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .some((fields) => fields[1]?.endsWith(local) && fields[3] === STATES[table]);
}

const control = connect(`${folder}/control.sock`);
control.on('error', (error) => console.error(error.message));
control.on('close', () => {
  for (const server of servers) {
    server.kill('SIGKILL');
  }
  if (servers.size === 0) {
    process.exit();
  }
});
control.resume();

writeFileSync(`${folder}/nginx.conf`, nginxConfig);
serve('iperf3', '--server', '--bind', address, '--port', `${iperfPort}`);
serve('nginx', '-e', 'stderr', '-p', folder, '-c', `${folder}/nginx.conf`);
serve(
  process.execPath,
  fileURLToPath(new URL('udp-sink.mjs', import.meta.url)),
  address,
  `${udpPort}`,
);
const echo = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
echo.listen({ host: address, port: echoPort, backlog: 4096 });

const deadline = performance.now() + READY_TIMEOUT_MS;
const tcpPorts = [iperfPort, httpPort, echoPort];
while (!(tcpPorts.every((port) => isListening(port)) && isListening(udpPort, 'udp'))) {
  if (performance.now() > deadline) {
    console.error(`not every server listens after ${READY_TIMEOUT_MS} ms`);
    process.exit(1);
  }
  await sleep(POLL_MS);
}
control.write(`ready ${process.pid}\n`);
