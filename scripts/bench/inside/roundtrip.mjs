// Usage: roundtrip.mjs HOST PORT SECONDS. Sends one byte to an echo server, waits for it, again and
// again; prints {"trips", "p50Us", "p99Us"} as JSON: the trips include those to
// warm up, the times don't.
import { connect } from 'node:net';

/** Enough for the code on both sides to be compiled. */
const WARM_UP_TRIPS = 2000;
const BYTE = Buffer.from('x');

const [host = '', port = '', seconds = ''] = process.argv.slice(2);
const tripsUs = new Float64Array(Number(seconds) * 200_000);
let trips = 0;
let sentAt = 0;
let deadline = Infinity;

const socket = connect({ host, port: Number(port), noDelay: true });

function send() {
  sentAt = performance.now();
  socket.write(BYTE);
}

function report() {
  const sorted = tripsUs.subarray(0, trips - WARM_UP_TRIPS).toSorted();
  const at = (/** @type {number} */ share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  console.log(JSON.stringify({ trips, p50Us: at(0.5), p99Us: at(0.99) }));
}

socket.on('connect', send);
socket.on('data', () => {
  const now = performance.now();
  if (trips >= WARM_UP_TRIPS) {
    tripsUs[trips - WARM_UP_TRIPS] = (now - sentAt) * 1000;
  }
  trips += 1;
  if (trips === WARM_UP_TRIPS) {
    deadline = now + Number(seconds) * 1000;
  }
  if (now < deadline && trips - WARM_UP_TRIPS < tripsUs.length) {
    send();
  } else {
    report();
    socket.end();
  }
});
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on('close', () => process.exit(Number.isFinite(deadline) ? 0 : 1));
