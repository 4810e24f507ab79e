import { describe, expect, test } from 'vitest';
import type { Route } from '../../src/parent/return-path/netlink.js';
import { lossByRoutes } from '../../src/parent/return-path/routes.js';

const CLIENT = '198.51.100.2';
const NONE = { kind: 'none' } as const;
const BACK = { kind: 'via', device: 'eth0', index: 2, gateway: '172.17.0.1' } as const;
const OTHER_BRIDGE = { kind: 'via', device: 'eth1', index: 3, gateway: '172.18.0.1' } as const;
const VPN = { kind: 'via', device: 'tun0', index: 4 } as const;
const ROUTER = { kind: 'via', device: 'eth1', index: 3, gateway: '10.5.0.1' } as const;

function isOwn(ip: string): boolean {
  return ['172.17.0.1', '172.18.0.1'].includes(ip);
}

function loss(toClient: Route, toNobody: Route) {
  return lossByRoutes({ client: CLIENT, toClient, toNobody, isOwn });
}

describe('the routes of a container', () => {
  test.each([BACK, OTHER_BRIDGE])('lead back by a gateway of the namespace: %o', (route) => {
    expect(loss(route, BACK)).toBeUndefined();
    expect(loss(route, NONE)).toBeUndefined();
  });

  test.each<[Route, Route, 'target' | 'client', string]>([
    [NONE, NONE, 'target', 'the container has no default route'],
    [NONE, BACK, 'client', 'the container has no route to 198.51.100.2'],
    [VPN, VPN, 'target', "the container's route to 198.51.100.2 leads by tun0"],
    [VPN, BACK, 'client', "198.51.100.2 lies in the container's own network tun0"],
    [VPN, NONE, 'client', "198.51.100.2 lies in the container's own network tun0"],
    [ROUTER, ROUTER, 'target', "the container's route to 198.51.100.2 leads by eth1 to 10.5.0.1"],
    [{ kind: 'local' }, BACK, 'client', '198.51.100.2 is an address of the container itself'],
  ])('lead elsewhere: %o beside %o', (toClient, toNobody, scope, reason) => {
    expect(loss(toClient, toNobody)).toEqual({ verdict: 'lost', scope, reason });
  });
});
