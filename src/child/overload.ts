/**
 * Too much of something: how many flows there may be, and what is said about those that were shed.
 * The newest work is shed, so that what exists goes on.
 *
 * Memory is a limit too. V8 ends the process when it can't grow its heap, so new flows are shed
 * while there still is some: RLIMIT_AS, RLIMIT_DATA and a strict overcommit all refuse an mmap.
 */

import * as libc from '../msg/libc.js';
import * as linux from '../msg/linux.js';
import {
  countByReason,
  type FlowLimits,
  NO_LIMITS,
  type ShedCounts,
  type ShedReason,
} from '../msg/overload.js';
import { ReportClock } from './report-clock.js';

/** What V8 may ask for at once while its young generation grows, and then some. */
const HEADROOM_BYTES = 64 * 1024 * 1024;
/** Too short for the flows accepted meanwhile to use up the headroom. */
const HEADROOM_MAX_AGE_MS = 10;

const REASONS: ReadonlyMap<number, ShedReason> = new Map([
  [linux.EMFILE, 'files'],
  [linux.ENFILE, 'systemFiles'],
  [linux.ENOBUFS, 'memory'],
  [linux.ENOMEM, 'memory'],
  [linux.ENOSPC, 'watches'],
]);

/** What is missing by a negative errno; undefined when that is about something else. */
export function exhaustedBy(error: number): ShedReason | undefined {
  return REASONS.get(error);
}

/** The flows of one port. */
export interface FlowCount {
  flows: number;
  /** Other agents have flows of it, too. */
  readonly isShared?: boolean;
  /** Ends one of them that may be given up for another one. False when there is none. */
  makeRoom?(reason: ShedReason): boolean;
}

export class Overload extends ReportClock {
  limits: FlowLimits = NO_LIMITS;
  /** As `makeRoom` of a port, among all flows. */
  makeRoom: NonNullable<FlowCount['makeRoom']> = () => false;
  readonly #tell: (counts: ShedCounts) => void;
  #flows = 0;
  #counts = countByReason(() => 0);
  #hasMemory = true;
  #memoryCheckedAt = -Infinity;

  /** `report` is called at most once a second, with what was shed since the last time. */
  constructor(report: (counts: ShedCounts) => void) {
    super();
    this.#tell = report;
  }

  /** All that were admitted and haven't left. */
  get flows(): number {
    return this.#flows;
  }

  /** Counts one more flow, which must be `left` in the end; or says why there must be none. */
  admit(port: FlowCount): ShedReason | undefined {
    const { maxFlows, maxFlowsPerPort, maxFlowsPerSharedPort } = this.limits;
    const most = port.isShared === true ? maxFlowsPerSharedPort : maxFlowsPerPort;
    if (!this.#hasHeadroom()) return 'memory';
    if (most > 0 && port.flows >= most) {
      if (port.makeRoom?.('maxFlowsPerPort') !== true) return 'maxFlowsPerPort';
    }
    if (maxFlows > 0 && this.#flows >= maxFlows && !this.makeRoom('maxFlows')) return 'maxFlows';
    this.#flows++;
    port.flows++;
    return undefined;
  }

  left(port: FlowCount): void {
    this.#flows--;
    port.flows--;
  }

  shed(reason: ShedReason): void {
    this.#counts[reason]++;
    this.gathered();
  }

  protected override report(): void {
    this.#tell(this.#counts);
    this.#counts = countByReason(() => 0);
  }

  #hasHeadroom(): boolean {
    const now = performance.now();
    if (now - this.#memoryCheckedAt > HEADROOM_MAX_AGE_MS) {
      this.#memoryCheckedAt = now;
      this.#hasMemory = libc.hasRoomFor(HEADROOM_BYTES);
    }
    return this.#hasMemory;
  }
}
