/** The agent's ports, whatever their protocol: which forwarder has them and where they lead. */

import { SluiceError } from '../msg/errors.js';
import type { Fd } from '../msg/fd.js';
import type { FlowLimits } from '../msg/overload.js';
import { type Transport, transportOf } from '../msg/port.js';
import type { AgentPort, Resolution, SourceFamilies } from '../msg/protocol.js';
import type { AgentStats } from '../msg/stats.js';
import { encodeSockAddr } from '../msg/sockaddr.js';
import type { UdpTimeouts } from '../msg/udp-timeouts.js';
import { Deadlines } from './deadlines.js';
import type { ForwardedPort, Forwarder } from './forwarder.js';
import type { Overload } from './overload.js';
import { PipePool } from './pipes.js';
import type { Reactor } from './reactor.js';
import { HOLD_MS, Targets } from './targets.js';
import { SctpForwarder } from './sctp/forwarder.js';
import { TcpForwarder } from './tcp/forwarder.js';
import { UdpForwarder } from './udp/forwarder.js';

/** What epoll_wait takes. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

interface Port {
  readonly targets: Targets;
  /** As the parent gave it. */
  readonly spec: string;
  /** The host's sockets, which `forwarded` owns. */
  readonly fds: readonly number[];
  readonly forwarded: ForwardedPort;
}

export class AgentPorts {
  readonly #forwarders: Readonly<Record<Transport, Forwarder>> & { readonly udp: UdpForwarder };
  readonly #pipes = new PipePool();
  readonly #holding = new Deadlines<Targets>(HOLD_MS, (targets) => targets.release());
  readonly #ports = new Map<number, Port>();
  readonly #overload: Overload;
  readonly #reactor: Reactor;
  readonly #resolve: (id: number) => boolean;

  /**
   * `resolve` asks the parent for a port's targets, and returns false when there is none;
   * `answered` takes what comes back.
   */
  constructor(reactor: Reactor, overload: Overload, resolve: (id: number) => boolean) {
    this.#reactor = reactor;
    this.#resolve = resolve;
    this.#overload = overload;
    this.#forwarders = {
      tcp: new TcpForwarder(reactor, this.#pipes, overload),
      udp: new UdpForwarder(reactor, overload),
      sctp: new SctpForwarder(reactor, overload),
    };
    reactor.addClock(this.#holding);
    reactor.addClock(overload);
  }

  /** Owns the host's sockets from now on. Throws when the id or a socket won't do. */
  add({ id, proto, dial, mayHaveRule, spec }: AgentPort, sockets: readonly Fd[]): void {
    if (this.#ports.has(id)) {
      for (const socket of sockets) socket.close();
      throw new SluiceError('ERR_PORT_ID', `port ${id} exists already`);
    }
    const forwarder = this.#forwarders[transportOf(proto)];
    const own = dial.map((address) => encodeSockAddr(address));
    const targets = new Targets(own, mayHaveRule, () => this.#resolve(id), this.#holding);
    const fds = sockets.map(({ number }) => number);
    this.#ports.set(id, { targets, spec, fds, forwarded: forwarder.addPort(id, targets, sockets) });
  }

  /** For a parent that takes the ports back; the fds stay ours. */
  *list(): Generator<{ id: number; spec: string; fds: readonly number[] }> {
    for (const [id, { spec, fds }] of this.#ports) yield { id, spec, fds };
  }

  /** Takes nothing new; flows that exist go on. Throws for an unknown id. */
  remove(id: number): void {
    const port = this.#ports.get(id);
    if (port === undefined) throw new SluiceError('ERR_PORT_ID', `there is no port ${id}`);
    this.#ports.delete(id);
    port.forwarded.close();
  }

  /** The parent's answer to `resolve`; the port may be gone by now. */
  answered(id: number, resolution: Resolution): void {
    this.#ports.get(id)?.targets.answered(resolution);
  }

  /** The parent is gone: nobody will answer what was asked. */
  unanswered(): void {
    for (const { targets } of this.#ports.values()) targets.unanswered();
  }

  /** Takes nothing new from now on, and calls `onDrained` once no flow is left, or at the limit. */
  drain(limitMs: number, onDrained: () => void): void {
    for (const id of this.#ports.keys()) this.remove(id);
    const limit = performance.now() + limitMs;
    this.#reactor.addClock({
      nextMs: (now) => Math.min(Math.max(0, Math.ceil(limit - now)), LONGEST_WAIT_MS),
      expire: (now) => {
        if (now >= limit || this.#flows === 0) onDrained();
      },
    });
  }

  get #flows(): number {
    let flows = 0;
    for (const forwarder of Object.values(this.#forwarders)) flows += forwarder.stats().flows;
    return flows;
  }

  setSourceFamilies(families: SourceFamilies): void {
    for (const { sources } of Object.values(this.#forwarders)) sources.families = families;
  }

  setUdpTimeouts(timeouts: UdpTimeouts): void {
    this.#forwarders.udp.setTimeouts(timeouts);
  }

  setLimits(limits: FlowLimits): void {
    this.#overload.limits = limits;
  }

  stats(): AgentStats {
    const { tcp, udp, sctp } = this.#forwarders;
    return {
      ports: this.#ports.size,
      pipes: this.#pipes.size,
      transports: { tcp: tcp.stats(), udp: udp.stats(), sctp: sctp.stats() },
    };
  }
}
