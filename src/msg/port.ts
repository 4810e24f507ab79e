/**
 * The contract of a RootlessKit port driver, with RootlessKit's names and JSON keys.
 *
 * Source: RootlessKit `pkg/port` (port.go) and `pkg/api` (API 1.1.1).
 */

export const PROTOS = [
  'tcp',
  'tcp4',
  'tcp6',
  'udp',
  'udp4',
  'udp6',
  'sctp',
  'sctp4',
  'sctp6',
] as const;

export type Proto = (typeof PROTOS)[number];

export const TRANSPORTS = ['tcp', 'udp', 'sctp'] as const;

export type Transport = (typeof TRANSPORTS)[number];

/** A protocol without its family. */
export function transportOf(proto: Proto): Transport {
  return proto.replace(/[46]$/, '') as Transport;
}

/** One port to publish. Echoed back exactly as it was given: callers match on it. */
export interface Spec {
  readonly proto: Proto;
  /** Host address to listen on; empty or absent means every address of the protocol's families. */
  readonly parentIP?: string;
  /** 1 to 65535. */
  readonly parentPort: number;
  /** Address to connect to in the child namespace; empty or absent means its loopback address. */
  readonly childIP?: string;
  /** 1 to 65535. */
  readonly childPort: number;
}

/** A published port. Ids start at 1 and are never used twice in one run. */
export interface Status {
  readonly id: number;
  readonly spec: Spec;
}

/** Safe for concurrent calls. Every rejection is a SluiceError. */
export interface Manager {
  /** Resolves once the port accepts connections. */
  addPort(spec: Spec): Promise<Status>;
  listPorts(): Promise<Status[]>;
  /** Resolves once the host address can be bound again. */
  removePort(id: number): Promise<void>;
}

/** `portDriver` of `GET /v1/info`. */
export interface PortDriverInfo {
  readonly driver: string;
  readonly protos: readonly Proto[];
  /** True when ports must not be published to a loopback childIP. */
  readonly disallowLoopbackChildIP: boolean;
  /** Whether servers see the client's own address. An addition of sluice to RootlessKit's API. */
  readonly sourceIP: SourceIPInfo;
  /** An addition of sluice, too. */
  readonly agents: AgentsInfo;
}

export type AgentInfo = {
  readonly pid: number;
  /**
   * Draining: it takes nothing new and ends with its last flow. Spare: it has no port, and takes
   * over when one that serves ends.
   */
  readonly state: 'serving' | 'draining' | 'spare';
  /** Since when this driver has it, ISO 8601. */
  readonly since: string;
};

export interface AgentsInfo {
  readonly running: readonly AgentInfo[];
  /** Agents that ended unasked and were replaced, since this driver started. */
  readonly restarts: number;
  /** How the last of these ended. */
  readonly lastEnd?: string;
}

export type SourceIPInfo = {
  /** `require`: a flow whose client's address can't be kept is refused. */
  readonly policy: 'keep' | 'require' | 'off';
  /** By protocol, as in `protos`. */
  readonly protos: Readonly<Record<string, SourceIPState>>;
  readonly flows: {
    /** Flows that reached the server under the client's own address, since the agent started. */
    readonly kept: number;
    /** Flows that had to go without, by reason. */
    readonly without: Readonly<Record<string, number>>;
    /** Flows (UDP: datagrams) that were refused since they would have had to. */
    readonly refused: number;
  };
};

export type SourceIPState = {
  readonly kept: boolean;
  /** Why not. */
  readonly reason?: string;
  /** Servers that don't see it although it is kept, and what they see. */
  readonly except?: string;
};

/** Where the child namespaces are. */
export interface ChildContext {
  /** A process in the child's user namespace. */
  readonly pid: number;
  /** The network namespace when it is not that of `pid` (rootlesskit --detach-netns). */
  readonly netnsPath?: string;
  /** The tap device's address, if there is a tap device. */
  readonly ip?: string;
}

export interface ParentDriver extends Manager {
  info(): Promise<PortDriverInfo>;
  /** What a child driver needs to be reached: string keys and values only. */
  opaqueForChild(): Readonly<Record<string, string>>;
  /**
   * Serves as Manager until `quit` is aborted; `initComplete` is called once it can.
   * Resolves when everything it opened is closed again.
   */
  runParentDriver(initComplete: () => void, quit: AbortSignal, cctx: ChildContext): Promise<void>;
}

export interface ChildDriver {
  /** Forwards until the parent hangs up. Blocks the calling thread. */
  runChildDriver(opaque: Readonly<Record<string, string>>): void;
}
