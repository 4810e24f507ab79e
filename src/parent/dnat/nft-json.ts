/**
 * The output of nft(8) as JSON, libnftables-json(5), and what most drivers only ask of it: whether
 * there are rules at all that nft.ts, and zod with it, is needed for.
 */

const FAMILIES = ['ip', 'ip6'] as const;

/**
 * Whether the output of `nft -j list chains` has NAT in it that is not iptables-nft's, whose
 * targets nft can't show. Never throws.
 */
export function hasNativeNat(text: string): boolean {
  return objectsOf(text).some((object) => {
    const chain = field(object, 'chain');
    const isOfIptables =
      field(chain, 'table') === 'nat' &&
      FAMILIES.some((family) => family === field(chain, 'family'));
    return field(chain, 'type') === 'nat' && !isOfIptables;
  });
}

/** The tables, chains and rules of an output; empty for what is none. */
export function objectsOf(text: string): readonly unknown[] {
  return arrayOf(field(parseJson(text), 'nftables'));
}

export function arrayOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
