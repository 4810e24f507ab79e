// The Node peer: forwards with two `pipe` calls for each connection, as most Node proxies do.
// Its parent sends it [port, listening socket] pairs from the host's namespace; it ends with it.
import { Server, connect } from 'node:net';

/**
 * @param {number} port
 * @param {import('node:net').Server} listener
 */
function forward(port, listener) {
  listener.on('connection', (client) => {
    const server = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    client.setNoDelay(true);
    client.on('error', () => server.destroy());
    server.on('error', () => client.destroy());
    client.pipe(server);
    server.pipe(client);
  });
}

process.on('message', (port, listener) => {
  if (typeof port === 'number' && listener instanceof Server) {
    forward(port, listener);
    process.send?.(port);
  }
});
process.on('disconnect', () => process.exit(0));
