/** `key=value` pairs in one line, as dockerd writes them: values are quoted where they must be. */

const PLAIN = /^[^\s"=\\\p{C}]+$/u;

export function logfmt(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${quoted(textOf(value))}`)
    .join(' ');
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function quoted(text: string): string {
  return PLAIN.test(text) ? text : JSON.stringify(text);
}
