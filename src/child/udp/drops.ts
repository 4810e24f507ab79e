/** Datagrams that were not delivered, by reason. */

export interface Drops {
  /** No room for another session, or the session had to make room for another one. */
  tableFull: number;
  /** No file descriptor or memory for another session's socket. */
  noDescriptor: number;
  /** More came than is kept while the port's target is being asked for. */
  held: number;
  /** The socket towards the server, or the client, took no more. */
  serverBusy: number;
  clientBusy: number;
  /** An ICMP error came back: nobody listens there. */
  refused: number;
  /** Longer than a datagram of the other family, or of the path, can be. */
  oversized: number;
  /** The kernel has no way there, or a firewall forbids it. */
  unreachable: number;
  /** The client's address can't be kept, and is required (`--source-ip=require`). */
  sourceRequired: number;
  /** The kernel's queue of a socket was full before the agent came to it. */
  queueFull: number;
}

export function noDrops(): Drops {
  return {
    tableFull: 0,
    noDescriptor: 0,
    held: 0,
    serverBusy: 0,
    clientBusy: 0,
    refused: 0,
    oversized: 0,
    unreachable: 0,
    sourceRequired: 0,
    queueFull: 0,
  };
}
