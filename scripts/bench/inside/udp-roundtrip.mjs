// Usage: udp-roundtrip.mjs HOST PORT SECONDS. Sends a datagram to udp-sink.mjs, waits for its echo,
// again and again; prints {"count", "lost", "p50Us", "p99Us"} as JSON.
import { once } from 'node:events';
import { DgramAsPromised } from 'dgram-as-promised';
import { COMMAND_BYTES, ECHO } from './udp.mjs';

/** Enough for the code on both sides to be compiled. */
const WARM_UP_TRIPS = 2000;
/** Past it a datagram is lost. */
const LOST_MS = 500;
const MAX_LOST = 20;

const [host = '', port = '', seconds = ''] = process.argv.slice(2);
const tripsUs = new Float64Array(Number(seconds) * 200_000);
const datagram = Buffer.alloc(COMMAND_BYTES, ECHO);
const udp = DgramAsPromised.createSocket('udp4').setTimeout(LOST_MS);
udp.socket.connect(Number(port), host);
await once(udp.socket, 'connect');

/** Resolves with its time in µs, or nothing for a datagram that is lost. */
async function trip() {
  const sentAt = performance.now();
  const answer = udp.recv();
  udp.socket.send(datagram);
  try {
    await answer;
    return (performance.now() - sentAt) * 1000;
  } catch {
    // The package keeps an error for the next call as well.
    await udp.recv().catch(() => undefined);
    return undefined;
  }
}

let trips = -WARM_UP_TRIPS;
let lost = 0;
let deadline = Infinity;
while (performance.now() < deadline && trips < tripsUs.length && lost < MAX_LOST) {
  const us = await trip();
  if (us === undefined) lost += 1;
  else if (trips >= 0) tripsUs[trips] = us;
  if (us !== undefined) trips += 1;
  if (trips === 0) deadline = performance.now() + Number(seconds) * 1000;
}
const sorted = tripsUs.subarray(0, Math.max(0, trips)).toSorted();
const at = (/** @type {number} */ share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
console.log(JSON.stringify({ count: sorted.length, lost, p50Us: at(0.5), p99Us: at(0.99) }));
await udp.close();
