/** Programs that sluice and rootlesskit run. */
import { accessSync, constants } from 'node:fs';
import { type Finding, failure, ok, warning } from './finding.js';
import type { Machine } from './machine.js';
import { installCommand } from './packages.js';

/** Of rootlesskit, in the order in which dockerd-rootless.sh prefers them. */
const NETWORK_DRIVERS = ['slirp4netns', 'pasta', 'vpnkit', 'lxc-user-nic'];
const TUN = '/dev/net/tun';

export function checkNetworkDrivers(machine: Machine): Finding {
  const check = 'network drivers';
  const found = NETWORK_DRIVERS.filter((name) => machine.which(name) !== undefined);
  if (found.length > 0) return ok(check, found.join(', '));
  return failure(
    check,
    `none of ${NETWORK_DRIVERS.join(', ')} is on the PATH`,
    installCommand(machine, 'slirp4netns'),
  );
}

export function checkTun(): Finding {
  try {
    accessSync(TUN, constants.R_OK | constants.W_OK);
    return ok('tun device', TUN);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return failure(
      'tun device',
      `${TUN} can't be opened: ${code}`,
      code === 'ENOENT' ? 'sudo modprobe tun' : `sudo chmod 0666 ${TUN}`,
    );
  }
}

export function checkNsenter(machine: Machine): Finding {
  const file = machine.which('nsenter', machine.systemPath);
  if (file !== undefined) return ok('nsenter', file);
  const text = 'not found: the agent is started with it';
  return failure('nsenter', text, installCommand(machine, 'util-linux'));
}

export function checkUnshare(machine: Machine): Finding {
  const file = machine.which('unshare', machine.systemPath);
  if (file !== undefined) return ok('unshare', file);
  const text = 'not found: "sluice run" needs it';
  return warning('unshare', text, installCommand(machine, 'util-linux'));
}

export function checkIp(machine: Machine): Finding {
  const file = machine.which('ip', machine.systemPath);
  if (file !== undefined) return ok('ip', file);
  const text = "not found: containers won't see their clients' addresses";
  return warning('ip', text, installCommand(machine, 'iproute2'));
}

export function checkFirewall(machine: Machine): Finding {
  const check = 'firewall';
  const found = ['nft', 'iptables'].flatMap(
    (name) => machine.which(name, machine.systemPath) ?? [],
  );
  if (found.length > 0) return ok(check, found.join(', '));
  return warning(
    check,
    "neither nft nor iptables was found: containers won't see their clients' addresses",
    installCommand(machine, 'nftables'),
  );
}
