/** The sysctls by which a server in the namespace answers with the mark of what it received. */

import { type Failures, failuresOf } from './failures.js';
import type { Part } from './part.js';
import type { Tools } from './tools.js';

/** The first is for IPv4 and IPv6; a kernel without IPv6 lacks the last. */
export const SYSCTL_FILES = [
  '/proc/sys/net/ipv4/tcp_fwmark_accept',
  '/proc/sys/net/ipv4/fwmark_reflect',
  '/proc/sys/net/ipv6/fwmark_reflect',
] as const;

/** Prints the value before of each that could be changed: one digit, all that `read` gets of them. */
const TURN_ON =
  'for file; do read -r value <"$file"; echo 1 >"$file" && echo "$file $value" || failed=1; done; exit ${failed:-0}';
const SHOW = 'for file; do read -r value <"$file"; echo "$file $value"; done';

/** A process's /proc/sys/net is that of its network namespace: a shell reaches it from there. */
export class Sysctls implements Part {
  readonly kind = 'sysctls';
  readonly name = 'net.ipv4.tcp_fwmark_accept or fwmark_reflect';
  readonly #tools: Tools;
  /** Those that are there, with the values that they had before the first `put`. */
  #before: ReadonlyMap<string, string> | undefined;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  async put(): Promise<Failures> {
    const { stdout, failure } = await this.#sh(TURN_ON);
    const lines = stdout.split('\n').filter((line) => line !== '');
    const there = new Map(lines.map((line) => line.split(' ') as [string, string]));
    this.#before ??= there;
    const [ofBoth, ofIPv4, ofIPv6] = SYSCTL_FILES.map((file) =>
      there.has(file) ? undefined : failure,
    );
    return failuresOf(ofBoth ?? ofIPv4, ofBoth ?? ofIPv6);
  }

  async read(): Promise<string> {
    return (await this.#sh(SHOW)).stdout;
  }

  /** @param leftover the values before were not the namespace's own but a predecessor's */
  async remove(leftover = false): Promise<void> {
    const files = [...(this.#before ?? [])]
      .filter(([, value]) => leftover || value === '0')
      .map(([file]) => file);
    if (files.length > 0) await this.#tools.run('tee', files, { input: '0' });
  }

  #sh(script: string) {
    return this.#tools.run('sh', ['-c', script, 'sh', ...SYSCTL_FILES]);
  }
}
