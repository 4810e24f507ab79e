/** The container that docker-proxy serves a port of the child namespace for, by its arguments. */

import { isLoopback } from '../dial.js';
import { type Address, familyOf } from '../../msg/sockaddr.js';
import { AF_INET } from '../../msg/linux.js';
import { type DnatQuery, parseAddress, parsePort, parseTargetIP } from './rule.js';

const PROXY = /(?:^|\/)docker-proxy$/;
/** Up to Docker 20.10: it adds the port to rootlesskit, starts docker-proxy, and lives as long. */
const WRAPPER = /(?:^|\/)rootlesskit-docker-proxy$/;

export interface DockerProxy {
  readonly proto: string;
  /** In the child namespace. */
  readonly ip: string;
  readonly port: number;
  readonly container: Address;
}

export function isDockerProxy(program: string): boolean {
  return PROXY.test(program) || WRAPPER.test(program);
}

/** Undefined where the arguments name no address that a container can have. */
export function parseDockerProxy(
  program: string,
  args: readonly string[],
): DockerProxy | undefined {
  const valueOf = (option: string) => args[args.indexOf(option) + 1] ?? '';
  const ip = parseAddress(valueOf('-host-ip'));
  const port = parsePort(valueOf('-host-port'));
  const containerIP = parseTargetIP(valueOf('-container-ip'));
  const containerPort = parsePort(valueOf('-container-port'));
  if (!ip || !port || !containerIP || !containerPort) return undefined;
  return {
    proto: valueOf('-proto'),
    ip: WRAPPER.test(program) ? insideOf(ip) : ip,
    port,
    container: { ip: containerIP, port: containerPort },
  };
}

/** The container that `query` is a proxy's address for. */
export function containerOf(
  proxies: readonly DockerProxy[],
  { proto, ip, port }: DnatQuery,
): Address | undefined {
  return proxies.find((one) => one.proto === proto && one.ip === ip && one.port === port)
    ?.container;
}

/** The childIP for a wrapper's address of the host. */
function insideOf(hostIP: string): string {
  if (isLoopback(hostIP)) return hostIP;
  return familyOf(hostIP) === AF_INET ? '127.0.0.1' : '::1';
}
