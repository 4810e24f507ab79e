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
export { createApiClient, type ApiClient } from './parent/api/client.js';
export { Driver as ParentDriver } from './parent/driver.js';
export { serve, type ServeOptions, type Serving } from './parent/serve.js';
