// Usage: soak-load.mjs JSON. Uses echo servers at the ports `tcp` and `udp` of 127.0.0.1 in as many
// ways as the JSON says, all at once and at full speed: by `streams`, by `trips` of one byte at a
// time, by `connectors` whose connections come and go, by `sessions` of datagrams that come and go.
// Prints a line of JSON every second, and once more when its standard input ends:
//   bytes, connections, datagrams: that came back since the last line
//   lost: datagrams without an answer; failed: other failures by errno
//   stallMs: the longest that anything took to come back
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

/** @typedef {'tcp' | 'udp' | 'streams' | 'trips' | 'connectors' | 'sessions'} Key */
const ways = /** @type {Partial<Record<Key, number>>} */ (JSON.parse(process.argv[2] ?? '{}'));
const { tcp: tcpPort = 0, udp: udpPort = 0 } = ways;
const { streams = 0, trips = 0, connectors = 0, sessions = 0 } = ways;

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
});
let now = nothing();
let isOver = false;

/** @param {string} what */
function fail(what) {
  if (!isOver) now.failed[what] = (now.failed[what] ?? 0) + 1;
}

/**
 * Keeps so many bytes on their way there and back.
 * @param {number} bytes
 */
function circulate(bytes) {
  const socket = connect({ host: '127.0.0.1', port: tcpPort, noDelay: true });
  let lastMs = performance.now();
  socket.on('connect', () => socket.write(Buffer.alloc(bytes, 's')));
  socket.on('data', (chunk) => {
    const atMs = performance.now();
    now.stallMs = Math.max(now.stallMs, atMs - lastMs);
    lastMs = atMs;
    now.bytes += chunk.length;
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

for (let count = 0; count < streams; count++) circulate(WINDOW_BYTES);
for (let count = 0; count < trips; count++) circulate(1);
for (let count = 0; count < connectors; count++) connectAgain();
for (let count = 0; count < sessions; count++) sessionAgain();

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
