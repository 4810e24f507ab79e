/**
 * Finds out inside whether replies come back, by evidence in this order:
 *
 * 1. The owner of the target's address. No owner and no neighbour that answers: `dead`.
 * 2. The routes of the owner's network namespace: `lost` where they lead elsewhere.
 * 3. Another container with the client's address. Docker drops packets of other networks to its
 *    containers, and with them the replies to the client: `lost` where an echo's reply comes as far as
 *    the namespace.
 * 4. A canary: an echo from an address of nobody. Answered, foreign addresses come back. A container
 *    is `shut` if such echoes arrive there, one from the namespace's own address is answered, and
 *    theirs are not; of UDP alone, since a connection that hangs is what a firewall may mean.
 */

import { readFileSync } from 'node:fs';
import { namespacesWith, namespaceWith, readNamespaces } from '../probe/owner.js';
import { hasAddress } from '../proc-net.js';
import { Canary } from './canary.js';
import { Netlink, netlinkIn } from './netlink.js';
import type { Question, ReturnPath, Target } from './return-path.js';
import { Sniffer } from './sniffer.js';
import { isSameHop, lossByRoutes, NOBODY } from './routes.js';

/** Echoes are answered within a millisecond; on a busy machine within some ten. */
const FIRST_WAIT_MS = 150;
/** A neighbour that has to be found first may cost the first one. */
const TRIES = 2;
const SECOND_WAIT_MS = 250;
/** For a neighbour to answer, which the kernel asks each second. */
const NEIGHBOUR_WAIT_MS = 1100;
/** So many that pings of others hardly make up for them. */
const COUNTED = 5;

const UNDELIVERED =
  'replies to foreign addresses come back but are not delivered: the rules of sluice in the namespace are gone, or another firewall drops them';

/** In the order of the clients. Throws what keeps it from finding out. */
export function findInside({ target, clients }: Question): ReturnPath[] {
  const namespaces = readNamespaces();
  const [owner = [], ...others] = namespacesWith(target.ip, namespaces);
  if (others.length > 0) {
    const answer = found('unknown', `several containers have the address ${target.ip}`);
    return clients.map(() => answer);
  }
  const [pid] = owner;
  if (pid === process.pid) {
    const answer = found('open', `${target.ip} is an address of the namespace itself`);
    return clients.map(() => answer);
  }
  const byCanary = once(() => tryCanary(target, pid));
  if (pid === undefined) {
    const answer = absence(target) ?? byCanary();
    return clients.map(() => answer);
  }
  const nobody = target.ip.includes(':') ? NOBODY.ipv6 : NOBODY.ipv4;
  using kernel = netlinkIn(pid);
  const toNobody = kernel.route({ to: nobody, from: target });
  return clients.map((client) => {
    const toClient = kernel.route({ to: client, from: target });
    const loss = lossByRoutes({ client, toClient, toNobody, isOwn });
    if (loss === undefined) {
      const [twin] = namespaceWith(client, namespaces) ?? [];
      const isShadowed = twin !== undefined && twin !== process.pid && twin !== pid;
      const shadowed = isShadowed ? lossByTwin(target, client) : undefined;
      if (shadowed !== undefined) return shadowed;
      // An echo to another hop says nothing of this client.
      if (isSameHop(toClient, toNobody)) return byCanary();
      const reason = `the container's route to ${client} leads back, and is not its default route`;
      return { verdict: 'unknown', scope: 'client', reason };
    }
    if (kernel.routesByMark(target.ip)) {
      const reason = `${loss.reason}, but packets with a mark may go another way`;
      return { verdict: 'unknown', scope: 'client', reason };
    }
    // The gateway may answer for addresses that are not its own: then the canary's reply comes back.
    const isOpen = isSameHop(toClient, toNobody) && byCanary().verdict === 'open';
    return isOpen ? byCanary() : loss;
  });
}

function isOwn(ip: string): boolean {
  return hasAddress('self', ip);
}

/** Undefined where a neighbour answers for the address, or it lies behind a gateway. */
function absence({ ip }: Target): ReturnPath | undefined {
  using kernel = new Netlink();
  const route = kernel.route({ to: ip });
  if (route.kind !== 'via') return found('dead', `there is no route to ${ip}`);
  if (route.gateway !== undefined || kernel.hasNeighbour(ip, route.index)) return undefined;
  using canary = new Canary(ip);
  canary.send(1);
  canary.wait(NEIGHBOUR_WAIT_MS);
  if (kernel.hasNeighbour(ip, route.index)) return undefined;
  return found('dead', `nobody on ${route.device} has the address ${ip}`);
}

/** @param pid of a process in the target's network namespace, where one can be looked into */
function tryCanary({ ip, transport }: Target, pid: number | undefined): ReturnPath {
  const open = found('open', 'replies to foreign addresses come back');
  using canary = new Canary(ip);
  for (let time = 0; time < TRIES && !canary.isOwnAnswered; time++) {
    canary.send(1);
    canary.wait(FIRST_WAIT_MS);
    if (canary.isForeignAnswered) return open;
  }
  if (!canary.isOwnAnswered) {
    return found('unknown', `${ip} answers no echo, so nothing is known about its replies`);
  }
  using sniffer = new Sniffer(ip);
  const before = pid === undefined ? NaN : echoesIn(pid, ip);
  canary.send(COUNTED);
  canary.wait(SECOND_WAIT_MS);
  if (canary.isForeignAnswered) return open;
  if (sniffer.hasReply()) return found('unknown', UNDELIVERED);
  const arrived = pid === undefined ? NaN : echoesIn(pid, ip) - before;
  if (arrived !== 2 * COUNTED) {
    return found('unknown', `a firewall lets no echo of a foreign address in to ${ip}`);
  }
  // A firewall may treat TCP and echoes differently, and a connection that hangs is its answer.
  if (transport !== 'udp') {
    return found('unknown', "the container's firewall lets no echo to foreign addresses out");
  }
  return found('shut', "the container's firewall lets no reply to foreign addresses out");
}

/** Undefined where replies to the client are delivered, or never come. */
function lossByTwin({ ip }: Target, client: string): ReturnPath | undefined {
  using sniffer = new Sniffer(ip, client);
  using canary = new Canary(ip, client);
  canary.send(1);
  canary.wait(FIRST_WAIT_MS);
  if (canary.isForeignAnswered || !sniffer.hasReply()) return undefined;
  const reason = `another container has the address ${client}, and the engine drops what other networks send to it; give the engine's networks another range`;
  return { verdict: 'lost', scope: 'client', reason };
}

/** For every client. */
function found(verdict: ReturnPath['verdict'], reason: string): ReturnPath {
  return { verdict, scope: 'target', reason };
}

/** Echo requests that a network namespace took, behind its firewall: RFC 4293, proc_pid_net(5). */
function echoesIn(pid: number, ip: string): number {
  if (ip.includes(':')) {
    const text = readFileSync(`/proc/${pid}/net/snmp6`, 'latin1');
    return Number(/^Icmp6InEchos\s+(\d+)$/m.exec(text)?.[1]);
  }
  const text = readFileSync(`/proc/${pid}/net/snmp`, 'latin1');
  const [names = [], values = []] = [...text.matchAll(/^Icmp: (.*)$/gm)].map(([, line = '']) =>
    line.split(' '),
  );
  return Number(values[names.indexOf('InEchos')]);
}

function once(find: () => ReturnPath): () => ReturnPath {
  let first: ReturnPath | undefined;
  return () => (first ??= find());
}
