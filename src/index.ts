/** The library: the drivers, the contract they implement, and what goes with it. */

export { Agent as ChildDriver } from './child/agent.js';
export { SluiceError } from './msg/errors.js';
export type {
  ChildContext,
  Manager,
  PortDriverInfo,
  Proto,
  Spec,
  Status,
} from './msg/port.js';
export { formatPortSpec, parsePortSpec, validateSpec } from './msg/spec.js';
export type { AgentStats } from './msg/stats.js';
export type { UdpTimeouts } from './msg/udp-timeouts.js';
export { createApiClient, type ApiClient } from './parent/api/client.js';
export type { Info } from './parent/api/info.js';
export { Driver as ParentDriver, type DriverOptions } from './parent/driver.js';
export type { DriverEvent } from './parent/events/event.js';
export type { LogOptions } from './parent/log/options.js';
export { comparePortBindingReq } from './parent/portmapper/compare.js';
export {
  childPortBinding,
  PROTOCOL,
  type PortBinding,
  type PortBindingAddresses,
  type PortBindingReq,
  type PortMapper,
} from './parent/portmapper/contract.js';
export { dnatRules } from './parent/portmapper/dnat-rules.js';
export { createPortMapper, type PortMapperBackend } from './parent/portmapper/mapper.js';
export { createPlugin as createPortMapperPlugin } from './parent/portmapper/plugin.js';
export { serve, type ServeOptions, type Serving, type Successor } from './parent/serve.js';
export type { PortFlow, PortFlows } from './parent/snapshot.js';
