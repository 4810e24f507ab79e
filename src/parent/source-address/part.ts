import type { Failures } from './failures.js';

export const PART_KINDS = ['firewall', 'routing', 'sysctls'] as const;
export type PartKind = (typeof PART_KINDS)[number];

/** One kind of what is set up in the namespace. No method rejects. */
export interface Part {
  readonly kind: PartKind;
  /** For people. */
  readonly name: string;
  /** Puts it there, or back. Returns why a family can't be served. */
  put(): Promise<Failures>;
  /**
   * What is there of it now: equal texts are equal states, as long as the same tools are used.
   * Undefined when it is not whole.
   */
  read(): Promise<string | undefined>;
  remove(): Promise<void>;
}
