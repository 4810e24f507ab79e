/** The agent's ports, whatever their protocol: which forwarder has them and where they lead. */

import type { AgentPort, Resolution } from '../msg/agent-port.js';
import { SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import type { Flows } from '../msg/flows.js';
import type { FlowLimits, ShedCounts } from '../msg/overload.js';
import { MAX_PORTS_PER_MESSAGE, type PortReport } from '../msg/port-stats.js';
import { type Transport, transportOf } from '../msg/port.js';
import type { AgentStats } from '../msg/stats.js';
import { addressOf, encodeSockAddr } from '../msg/sockaddr.js';
import type {
  ReturnPathAnswer,
  ReturnPathQuestion,
  SourceLost,
  SourcePolicy,
} from '../msg/source-address.js';
import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import { PortCounters } from './counters.js';
import { Deadlines } from './deadlines.js';
import type { ForwardedPort, Forwarder } from './forwarder.js';
import { busiest, flowStats } from './observed.js';
import { Overload } from './overload.js';
import { PipePool } from './pipes.js';
import type { Reactor } from './reactor.js';
import { Refusals, type ReportRefused } from './refusals.js';
import { ReturnPaths } from './return-paths.js';
import type { Loss } from './source.js';
import { HOLD_MS, Targets } from './targets.js';
import { type ReportAborted, SctpForwarder } from './sctp/forwarder.js';
import { TcpForwarder } from './tcp/forwarder.js';
import { UdpForwarder } from './udp/forwarder.js';

interface Port {
  readonly targets: Targets;
  /** On the clock of performance.now(). */
  readonly addedAt: number;
  readonly counters: PortCounters;
  /** As the parent gave it. */
  readonly spec: string;
  /** The host's sockets, which `forwarded` owns. */
  readonly fds: readonly number[];
  readonly forwarded: ForwardedPort;
}

/** What the parent is asked and told, if there is one. */
export interface ParentCalls {
  /** Asks for a port's targets, which `answered` takes; false when there is no parent. */
  resolve(id: number): boolean;
  /** Asks whether replies come back from a target, which `onReturnPath` takes. */
  returnPath(question: Omit<ReturnPathQuestion, 'type'>): boolean;
  sourceLost(lost: Omit<SourceLost, 'type'>): void;
  shed(counts: ShedCounts): void;
  readonly refused: ReportRefused;
  readonly aborted: ReportAborted;
}

export class AgentPorts {
  readonly #forwarders: Readonly<Record<Transport, Forwarder>> & { readonly udp: UdpForwarder };
  readonly #pipes = new PipePool();
  readonly #holding = new Deadlines<Targets>(HOLD_MS, (targets) => targets.onHeldLong());
  readonly #ports = new Map<number, Port>();
  /** Of ports that this agent no longer has, whose flows it finishes. */
  readonly #drained = new Map<number, Pick<Port, 'targets' | 'addedAt' | 'counters'>>();
  readonly #overload: Overload;
  readonly #returnPaths: ReturnPaths;
  readonly #reactor: Reactor;
  readonly #parent: ParentCalls;

  constructor(reactor: Reactor, parent: ParentCalls) {
    this.#reactor = reactor;
    this.#parent = parent;
    this.#overload = new Overload((counts) => parent.shed(counts));
    const refusals = new Refusals(parent.refused);
    this.#returnPaths = new ReturnPaths(({ port, server, client }) =>
      parent.returnPath({
        id: port,
        target: addressOf(server),
        client: addressOf(client).ip,
      }),
    );
    const watchers = {
      overload: this.#overload,
      refusals,
      returnPaths: this.#returnPaths,
      onLoss: (loss: Loss) => this.#report(loss),
    };
    this.#forwarders = {
      tcp: new TcpForwarder(reactor, this.#pipes, watchers),
      udp: new UdpForwarder(reactor, watchers),
      sctp: new SctpForwarder(reactor, watchers, parent.aborted),
    };
    reactor.addClock(this.#holding);
    reactor.addClock(this.#overload);
    reactor.addClock(refusals);
  }

  /** Owns the host's sockets from now on. Throws when the id or a socket won't do. */
  add(port: AgentPort, sockets: readonly Fd[]): void {
    const { id, proto, dial, isShared, spec } = port;
    if (this.#ports.has(id)) {
      for (const socket of sockets) socket.close();
      throw new SluiceError('ERR_PORT_ID', `port ${id} exists already`);
    }
    const forwarder = this.#forwarders[transportOf(proto)];
    const own = dial.map((address) => encodeSockAddr(address));
    const targets = new Targets(own, port, () => this.#parent.resolve(id), this.#holding);
    const fds = sockets.map(({ number }) => number);
    const counters = new PortCounters(isShared);
    const forwarded = forwarder.addPort({ id, targets, counters }, sockets);
    this.#ports.set(id, { targets, addedAt: performance.now(), counters, spec, fds, forwarded });
  }

  /** For a parent that takes the ports back; the fds stay ours. */
  *list(): Generator<{ id: number; spec: string; fds: readonly number[] }> {
    for (const [id, { spec, fds }] of this.#ports) yield { id, spec, fds };
  }

  /** Takes nothing new; flows that are open go on. Throws for an unknown id. */
  remove(id: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) throw new SluiceError('ERR_PORT_ID', `there is no port ${id}`);
    this.#ports.delete(id);
    port.forwarded.close();
    port.targets.end();
    port.forwarded.abandon();
  }

  /** The parent's answer to `resolve`; the port may be gone by now. */
  answered(id: number, resolution: Resolution): void {
    const port = this.#ports.get(id) ?? this.#drained.get(id);
    if (port === undefined) return;
    const since = port.targets.generation === 0 ? port.addedAt : performance.now();
    for (const target of resolution.targets) {
      const server = encodeSockAddr(target);
      if (!port.targets.isNamed(server)) this.#returnPaths.forgetBefore(since, server);
    }
    port.targets.answered(resolution);
  }

  /** The parent is gone: nobody will answer what was asked. */
  unanswered(): void {
    for (const ports of [this.#ports, this.#drained]) {
      for (const { targets } of ports.values()) targets.unanswered();
    }
    this.#returnPaths.unanswered();
  }

  /** Takes nothing new from now on, and calls `onDrained` once no flow is left, or at the limit. */
  drain(limitMs: number, onDrained: () => void): void {
    for (const [id, port] of this.#ports) {
      this.#drained.set(id, port);
      this.#ports.delete(id);
      port.forwarded.close();
    }
    const limit = performance.now() + limitMs;
    this.#reactor.addClock({
      nextMs: (now) => Math.max(0, Math.ceil(limit - now)),
      expire: (now) => {
        if (now >= limit || this.#overload.flows === 0) onDrained();
      },
    });
  }

  setSourcePolicy(policy: SourcePolicy): void {
    for (const { sources } of Object.values(this.#forwarders)) sources.policy = policy;
  }

  /** The parent's answer to `returnPath`. */
  onReturnPath(answer: ReturnPathAnswer): void {
    this.#returnPaths.answered(answer);
  }

  setUdpTimeouts(timeouts: UdpTimeouts): void {
    this.#forwarders.udp.setTimeouts(timeouts);
  }

  setLimits(limits: FlowLimits): void {
    this.#overload.limits = limits;
    this.#pipes.shareAmong(limits.agents);
  }

  /** Those with ids above `after`, as many as a message takes. */
  portStats(after: number): PortReport[] {
    const ids = [...this.#ports.keys(), ...this.#drained.keys()].filter((id) => id > after);
    return ids
      .toSorted((a, b) => a - b)
      .slice(0, MAX_PORTS_PER_MESSAGE)
      .flatMap((id) => {
        const port = this.#ports.get(id);
        const counters = port?.counters ?? this.#drained.get(id)?.counters;
        if (counters === undefined) return [];
        const stats = counters.stats(id, port?.forwarded.queueDrops ?? 0);
        const server = port?.targets.server;
        return { stats, ...(server !== undefined && { server }) };
      });
  }

  /** Those of one port, which may be gone: the busiest `most` of them. */
  flows(id: number, most: number): Flows {
    const all = Object.values(this.#forwarders).flatMap((one) => one.flowsOf(id));
    const now = performance.now();
    return { total: all.length, flows: busiest(all, most).map((flow) => flowStats(flow, now)) };
  }

  stats(): AgentStats {
    const { tcp, udp, sctp } = this.#forwarders;
    return {
      ports: this.#ports.size,
      pipes: this.#pipes.size,
      transports: { tcp: tcp.stats(), udp: udp.stats(), sctp: sctp.stats() },
    };
  }

  #report({ port, loss, isRefused, client, server }: Loss): void {
    const detail = loss === 'unreturned' ? this.#returnPaths.reasonOf(server) : '';
    this.#parent.sourceLost({
      id: port,
      loss,
      isRefused,
      client: addressOf(client).ip,
      server: addressOf(server),
      detail,
    });
  }
}
