// Echoes TCP and UDP on free ports of 127.0.0.1; prints {"tcp", "udp"} as JSON once it does, and
// lives as long as its standard input.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

const tcp = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
tcp.listen({ host: '127.0.0.1', port: 0, backlog: 4096 });
await once(tcp, 'listening');
const udp = createSocket('udp4');
udp.on('message', (message, { address, port }) => udp.send(message, port, address));
udp.bind(0, '127.0.0.1');
await once(udp, 'listening');
const listening = /** @type {import('node:net').AddressInfo} */ (tcp.address());
console.log(JSON.stringify({ tcp: listening.port, udp: udp.address().port }));
process.stdin.resume().on('end', () => process.exit());
