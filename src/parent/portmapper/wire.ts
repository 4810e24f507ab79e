/**
 * The JSON of moby's port mapper plugins: `MapPortsRequest` and its relatives.
 *
 * The format still moves, so fields may be missing or unknown, `AllowForwarding` may be called
 * `Forwarding`, and `NAT` be written as address:port. Go writes an empty list as null, and an
 * address that is not there as "".
 */

import * as z from 'zod';
import { SluiceError } from '../../msg/errors.js';
import { type PortBinding, type PortBindingReq, PROTOCOL } from './contract.js';

const addresses = z.object({
  Proto: z.int().default(PROTOCOL.tcp),
  BackendIP: z.string().default(''),
  BackendPort: z.int().default(0),
  FrontendIP: z.string().default(''),
  FrontendPort: z.int().default(0),
});

const natRule = z.object({ FromAddr: z.string(), FromPort: z.int() });

const addressAndPort = z.string().transform((text, context) => {
  const [, ip, port] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (ip === undefined) {
    context.addIssue({ code: 'custom', message: `expected address:port, received "${text}"` });
    return z.NEVER;
  }
  return { FromAddr: ip.replace(/^\[(.*)\]$/, '$1'), FromPort: Number(port) };
});

/** Go's zero netip.AddrPort is "". */
const noRule = z.literal('').transform(() => null);

const requestSchema = addresses.extend({ FrontendPortEnd: z.int().default(0) });

const bindingSchema = addresses.extend({
  DiscardReq: z.boolean().default(false),
  AllowForwarding: z.boolean().optional(),
  Forwarding: z.boolean().default(false),
  NAT: z.union([natRule, noRule, addressAndPort]).nullish(),
});

const mapPortsSchema = z.object({ Reqs: z.array(requestSchema).nullish() });
const unmapPortsSchema = z.object({ PortBindings: z.array(bindingSchema).nullish() });

/** @throws SluiceError ERR_WIRE, naming the field */
export function decodeMapPorts(value: unknown): PortBindingReq[] {
  return (parse(mapPortsSchema, value).Reqs ?? []).map((req) => ({
    ...decodeAddresses(req),
    // An exact port may leave the end of its range out.
    hostPortEnd: req.FrontendPortEnd || req.FrontendPort,
  }));
}

/** @throws SluiceError ERR_WIRE, naming the field */
export function decodeUnmapPorts(value: unknown): PortBinding[] {
  return (parse(unmapPortsSchema, value).PortBindings ?? []).map((binding) => ({
    ...decodeAddresses(binding),
    hostPortEnd: binding.FrontendPort,
    forwarding: binding.AllowForwarding ?? binding.Forwarding,
    rootlesskitUnsupported: binding.DiscardReq,
    ...(binding.NAT && { nat: { ip: binding.NAT.FromAddr, port: binding.NAT.FromPort } }),
  }));
}

export function encodeBinding(binding: PortBinding): object {
  const { proto, ip, port, hostIP = '', hostPort, nat, forwarding, reason } = binding;
  return {
    Proto: proto,
    BackendIP: ip,
    BackendPort: port,
    FrontendIP: hostIP,
    FrontendPort: hostPort,
    DiscardReq: binding.rootlesskitUnsupported,
    AllowForwarding: forwarding,
    NAT: nat === undefined ? null : { FromAddr: nat.ip, FromPort: nat.port },
    Error: reason ?? null,
  };
}

function decodeAddresses(wire: z.infer<typeof addresses>) {
  const { Proto, BackendIP, BackendPort, FrontendIP, FrontendPort } = wire;
  return {
    proto: Proto,
    ip: BackendIP,
    port: BackendPort,
    hostIP: FrontendIP,
    hostPort: FrontendPort,
  };
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue?.path.join('.') || 'the body';
  throw new SluiceError('ERR_WIRE', `bad request: ${where}: ${issue?.message}`);
}
