/** How the kernel's scheduler is asked to treat the agent. */

import { getPriority } from 'node:os';
import * as libc from '../msg/libc.js';

/** struct sched_attr of sched_setattr(2), its first version. */
const ATTR_BYTES = 48;
const FLAGS_OFFSET = 8;
const NICE_OFFSET = 16;
const RUNTIME_OFFSET = 24;
const SCHED_FLAG_KEEP_POLICY = 0x08n;

/** The shortest that the kernel gives; without asking it is 1 to 3 ms. */
const SLICE_NS = 100_000n;

/**
 * Asks for short slices of the processor: the share stays the same, but a thread that wants less at
 * a time is let in sooner (EEVDF, Linux 6.12; older kernels take no notice). Every byte of a busy
 * machine waits for the agent, which mostly has a few microseconds of work for it. What can't be had
 * is done without.
 */
export function askForShortSlices(): void {
  const attributes = libc.allocate(ATTR_BYTES);
  attributes.view.setUint32(0, ATTR_BYTES, true);
  attributes.view.setBigUint64(FLAGS_OFFSET, SCHED_FLAG_KEEP_POLICY, true);
  // It would be set, too: the agent keeps the one that it was started with.
  attributes.view.setInt32(NICE_OFFSET, getPriority(), true);
  attributes.view.setBigUint64(RUNTIME_OFFSET, SLICE_NS, true);
  libc.schedSetattr(attributes.address);
}
