// Usage: soak-load.mjs STREAMS TCP_PORT UDP_PORT DIRECT_PORT. Echo servers on 127.0.0.1 are used in
// every way at once, at full speed: by streams, by one byte at a time, by connections that come and
// go, by datagrams of sessions that come and go. Prints a line of JSON every second, and once more
// when its standard input ends:
//   bytes, connections, datagrams: that came back since the last line
//   lost: datagrams without an answer; failed: other failures by errno
//   stallMs: the longest that anything of the streams and round trips took to come back
//   directStallMs: the same for one byte at a time to the server at DIRECT_PORT, which nothing
//     forwards: what is left is this machine's
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [streams = 0, tcpPort = 0, udpPort = 0, directPort = 0] = process.argv.slice(2).map(Number);

const ROUND_TRIPS = 4;
const CONNECTORS = 4;
const SESSIONS = 16;
const DATAGRAMS_OF_A_SESSION = 500;
const DATAGRAM = Buffer.alloc(200, 'd');
/** In flight of each stream. */
const WINDOW_BYTES = 256 * 1024;
const LOST_AFTER_MS = 1000;

const nothing = () => ({
  bytes: 0,
  connections: 0,
  datagrams: 0,
  lost: 0,
  /** @type {Record<string, number>} */
  failed: {},
  stallMs: 0,
  directStallMs: 0,
});
let now = nothing();
let isOver = false;

/** @param {string} what */
function fail(what) {
  if (!isOver) now.failed[what] = (now.failed[what] ?? 0) + 1;
}

/**
 * Keeps so many bytes on their way there and back.
 * @param {number} port
 * @param {number} bytes
 * @param {'stallMs' | 'directStallMs'} stall
 */
function circulate(port, bytes, stall) {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  let lastMs = performance.now();
  socket.on('connect', () => socket.write(Buffer.alloc(bytes, 's')));
  socket.on('data', (chunk) => {
    const atMs = performance.now();
    now[stall] = Math.max(now[stall], atMs - lastMs);
    lastMs = atMs;
    if (stall === 'stallMs') now.bytes += chunk.length;
    if (!isOver) socket.write(chunk);
  });
  socket.on('error', (error) => fail(`stream: ${error.message}`));
  socket.on('close', () => fail('stream: closed'));
}

function connectAgain() {
  if (isOver) return;
  let answer = '';
  const socket = connect({ host: '127.0.0.1', port: tcpPort }, () => socket.end('question'));
  socket.setEncoding('utf8').on('data', (text) => (answer += text));
  socket.on('error', (error) => fail(`connection: ${error.message}`));
  socket.on('close', () => {
    if (answer === 'question') now.connections++;
    else fail('connection: no whole answer');
    setImmediate(connectAgain);
  });
}

function sessionAgain() {
  if (isOver) return;
  const socket = createSocket('udp4');
  let left = DATAGRAMS_OF_A_SESSION;
  let sentMs = 0;
  /** @type {NodeJS.Timeout} */
  let timer;
  const send = () => {
    sentMs = performance.now();
    clearTimeout(timer);
    timer = setTimeout(() => {
      now.lost++;
      send();
    }, LOST_AFTER_MS);
    socket.send(DATAGRAM);
  };
  socket.on('message', () => {
    now.stallMs = Math.max(now.stallMs, performance.now() - sentMs);
    now.datagrams++;
    if (--left > 0 && !isOver) return send();
    clearTimeout(timer);
    socket.close();
    sessionAgain();
  });
  socket.on('error', (error) => fail(`datagram: ${error.message}`));
  socket.connect(udpPort, '127.0.0.1', send);
}

for (let count = 0; count < streams; count++) circulate(tcpPort, WINDOW_BYTES, 'stallMs');
for (let count = 0; count < ROUND_TRIPS; count++) circulate(tcpPort, 1, 'stallMs');
circulate(directPort, 1, 'directStallMs');
for (let count = 0; count < CONNECTORS; count++) connectAgain();
for (let count = 0; count < SESSIONS; count++) sessionAgain();

const report = () => {
  console.log(JSON.stringify(now));
  now = nothing();
};
setInterval(report, 1000);
process.stdin.resume().on('end', () => {
  isOver = true;
  report();
  process.exit();
});
