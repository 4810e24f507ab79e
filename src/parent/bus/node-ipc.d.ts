/** What we use of node-ipc 12.0.0, which brings no types of its own. */
declare module 'node-ipc' {
  import type { Server, Socket } from 'node:net';

  export interface Config {
    id: string;
    appspace: string;
    socketRoot: string;
    silent: boolean;
    unlink: boolean;
    maxConnections: number;
    retry: number;
    maxRetries: number;
    stopRetrying: boolean;
  }

  export interface BusServer {
    readonly server: Server;
    start(): void;
    stop(): void;
    on(type: 'connect' | 'socket.disconnected', handler: (socket: Socket) => void): void;
    emit(socket: Socket, type: string, data: unknown): void;
  }

  export interface BusClient {
    on(type: string, handler: (data: unknown) => void): void;
  }

  export class IPCModule {
    readonly config: Config;
    readonly server: BusServer;
    readonly of: Record<string, BusClient>;
    serve(path: string): void;
    connectTo(id: string, path: string): void;
    disconnect(id: string): void;
  }
}
