/** What is compared: ways from a client to the same servers in a child namespace. */
import type { CommandLine } from '../command.js';

/** Ports on 127.0.0.1: iperf3, nginx, a TCP echo, and udp-sink.mjs. */
export interface Ports {
  readonly iperf: number;
  readonly http: number;
  readonly echo: number;
  /** 0 where the peer forwards TCP only. */
  readonly udp: number;
}

/** The servers' own ports: the child namespace is theirs alone. */
export const CHILD_PORTS: Ports = {
  iperf: 5201,
  http: 8080,
  echo: 7000,
  udp: 7001,
};

/** A peer with its servers, for one turn. */
export interface RunningPeer {
  /** Where clients connect, on 127.0.0.1. */
  readonly ports: Ports;
  /** Put in front of a client's command line; empty where clients run in the host namespace. */
  readonly enter: readonly string[];
  /** For clients that are not on the servers' loopback, where the peer has room for them. */
  readonly elsewhere?: {
    /** Like `enter` above. */
    readonly enter: readonly string[];
    /** Where these clients connect, at the same ports. */
    readonly address: string;
  };
  /** A process for each connection: what those spent that have ended can't be told in full. */
  readonly forks?: true;
  /** Its processes are not dumpable: neither their memory nor their system calls can be seen. */
  readonly hidden?: true;
  /** The socket of RootlessKit's API, where it has one. */
  readonly apiSocket?: string;
  /** Of its start: until that API named its port driver. */
  readonly readyMs?: number;
  /** The processes that carry the bytes, at this moment; none for the direct path. */
  forwarders(): number[];
  /** Ends everything that `start` started; never rejects because of how it ended. */
  stop(): Promise<void>;
}

export interface Turn {
  /** A folder of this turn's own, readable by its user only. */
  readonly folder: string;
  /** Another one, in memory: for what belongs into XDG_RUNTIME_DIR. */
  readonly runtimeFolder: string;
  readonly signal: AbortSignal;
  /** Keeps a command line for the report. */
  note(command: readonly string[]): void;
}

export interface Peer {
  readonly name: string;
  /** One line for the reader of the table. */
  readonly description: string;
  /** What prints its version. */
  readonly version: CommandLine;
  /** The reason why it can't take part; `undefined` when it can. */
  missing(): string | undefined;
  /** Resolves once all servers answer through it. */
  start(turn: Turn): Promise<RunningPeer>;
}
