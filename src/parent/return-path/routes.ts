/** Whether a container's routes bring replies back to the child's network namespace. */

import { CANARY_IPV4, CANARY_IPV6 } from '../../msg/marks.js';
import type { Route } from './netlink.js';
import type { ReturnPath } from './return-path.js';

/** Addresses of nobody, to which the namespace's rules deliver replies. */
export const NOBODY = { ipv4: CANARY_IPV4, ipv6: CANARY_IPV6 } as const;

export interface Routes {
  readonly client: string;
  readonly toClient: Route;
  readonly toNobody: Route;
  /** Whether the child's namespace has the address: any other gateway leads elsewhere. */
  readonly isOwn: (gateway: string) => boolean;
}

/** Undefined where the client's route leads back. */
export function lossByRoutes(routes: Routes): ReturnPath | undefined {
  const { client, toClient, toNobody, isOwn } = routes;
  if (leadsBack(toClient, isOwn)) return undefined;
  const isForAll = isSameHop(toClient, toNobody) || (isNone(toClient) && isNone(toNobody));
  const scope = isForAll ? 'target' : 'client';
  const reason =
    isNone(toClient) && isNone(toNobody)
      ? 'the container has no default route'
      : explain(toClient, client, isSameHop(toClient, toNobody));
  return { verdict: 'lost', scope, reason };
}

/** Whether what is tried with one of the two destinations says something about the other. */
export function isSameHop(one: Route, other: Route): boolean {
  return (
    one.kind === 'via' &&
    other.kind === 'via' &&
    one.index === other.index &&
    one.gateway === other.gateway
  );
}

function isNone({ kind }: Route): boolean {
  return kind === 'none';
}

function leadsBack(route: Route, isOwn: Routes['isOwn']): boolean {
  return route.kind === 'via' && route.gateway !== undefined && isOwn(route.gateway);
}

function explain(route: Route, to: string, isDefault: boolean): string {
  if (route.kind === 'none') return `the container has no route to ${to}`;
  if (route.kind === 'local') return `${to} is an address of the container itself`;
  const { gateway, device } = route;
  if (gateway !== undefined)
    return `the container's route to ${to} leads by ${device} to ${gateway}`;
  return isDefault
    ? `the container's route to ${to} leads by ${device}`
    : `${to} lies in the container's own network ${device}`;
}
