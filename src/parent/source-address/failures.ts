import type { Family } from './rules.js';

/** Why a family can't be served; no entry where it can. */
export type Failures = Readonly<Partial<Record<Family, string>>>;

export function failuresOf(ipv4: string | undefined, ipv6: string | undefined): Failures {
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}
