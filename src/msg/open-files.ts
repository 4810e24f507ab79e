/** How many files this process may have open: getrlimit(2). */

import { allocate, getrlimit } from './libc.js';
import { RLIMIT_NOFILE } from './linux.js';

const RLIM_INFINITY = 2n ** 64n - 1n;

const limits = allocate(16);

/** Infinity where there is no limit. */
export function openFilesLimits(): { readonly soft: number; readonly hard: number } {
  getrlimit(RLIMIT_NOFILE, limits.address);
  return { soft: limitAt(0), hard: limitAt(8) };
}

function limitAt(offset: number): number {
  const limit = limits.view.getBigUint64(offset, true);
  return limit === RLIM_INFINITY ? Infinity : Number(limit);
}
