/** moby's port mapper over a port driver. */

import { messageOf, SluiceError } from '../../msg/errors.js';
import type { Manager, Status } from '../../msg/port.js';
import {
  apiProto,
  type PortMapperInfo,
  type Reach,
  reachOf,
  whyUnsupported,
} from './child-host-ip.js';
import { unmapped } from './compare.js';
import type { PortBinding, PortBindingReq, PortMapper } from './contract.js';
import { groupRequests, isServed, type Member } from './groups.js';
import { PortOpener, throwIfAborted } from './opener.js';

export interface PortMapperBackend {
  /** A driver, or a client of its API. */
  readonly manager: Manager;
  /** Asked in every call: protocols come and go with the driver behind an API. */
  readonly info: () => Promise<PortMapperInfo>;
}

export function createPortMapper({ manager, info }: PortMapperBackend): PortMapper {
  const opener = new PortOpener(manager);
  return {
    async mapPorts(reqs, signal) {
      if (reqs.length === 0) return [];
      const reach = reachOf(await info());
      const opened: Status[] = [];
      const bindings: PortBinding[] = [];
      try {
        for (const group of groupRequests(reqs, reach)) {
          const { port, statuses } = await opener.open(group, signal);
          opened.push(...statuses.values());
          for (const member of group) {
            const status = statuses.get(member);
            bindings[member.index] =
              isServed(member) && status !== undefined
                ? served(member, status, () => manager.removePort(status.id))
                : unsupported(member, port, reach);
          }
        }
        throwIfAborted(signal);
        return bindings;
      } catch (error) {
        throw await opener.undo(opened, error);
      }
    },
    unmapPorts: (bindings) => unmapPorts(manager, bindings),
  };
}

function served(
  { req, child }: Member & { readonly child: { readonly ip: string } },
  { spec }: Status,
  portDriverRemove: () => Promise<void>,
): PortBinding {
  const port = spec.parentPort;
  return {
    ...addressesOf(req, port),
    childHostIP: child.ip,
    nat: { ip: child.ip, port },
    forwarding: true,
    rootlesskitUnsupported: false,
    portDriverRemove,
  };
}

/** It has the host port of its group, where there is one. */
function unsupported({ req }: Member, port: number | undefined, reach: Reach): PortBinding {
  return {
    ...addressesOf(req, port),
    forwarding: false,
    rootlesskitUnsupported: true,
    reason: whyUnsupported(reach, req),
  };
}

/** Without unknown keys of the request. */
function addressesOf(req: PortBindingReq, hostPort: number | undefined): PortBindingReq {
  const { mapper, proto, ip, port, hostIP } = req;
  return {
    ...(mapper !== undefined && { mapper }),
    proto,
    ip,
    port,
    ...(hostIP !== undefined && { hostIP }),
    hostPort: hostPort ?? req.hostPort,
    hostPortEnd: hostPort ?? req.hostPortEnd,
  };
}

async function unmapPorts(manager: Manager, bindings: readonly PortBinding[]): Promise<void> {
  const mapped = bindings.filter(({ rootlesskitUnsupported }) => !rootlesskitUnsupported);
  const isByList = mapped.some(({ portDriverRemove }) => portDriverRemove === undefined);
  const ports = isByList ? await manager.listPorts() : [];
  const failures: unknown[] = [];
  for (const binding of mapped) {
    await unmap(manager, ports, binding).catch((error: unknown) => failures.push(error));
  }
  if (failures.length === 0) return;
  const cause = failures.length === 1 ? failures[0] : new AggregateError(failures);
  throw new SluiceError('ERR_UNMAP', failures.map(messageOf).join('; '), { cause });
}

/** A binding that came over the wire is found as nerdctl finds its ports: in the list. */
async function unmap(
  manager: Manager,
  ports: readonly Status[],
  binding: PortBinding,
): Promise<void> {
  const { hostIP = '', hostPort, portDriverRemove } = binding;
  if (portDriverRemove !== undefined) return portDriverRemove();
  const proto = apiProto(binding);
  const parentIP = hostIP === '' ? '' : unmapped(hostIP);
  const found = ports.find(
    ({ spec }) =>
      spec.proto === proto &&
      (spec.parentIP ?? '') === parentIP &&
      spec.parentPort === hostPort &&
      spec.childPort === hostPort,
  );
  if (found !== undefined) return manager.removePort(found.id);
  throw new SluiceError(
    'ERR_NOT_MAPPED',
    `port ${hostPort} of host address ${parentIP || '*'}, protocol ${proto ?? binding.proto}, is not mapped`,
  );
}
