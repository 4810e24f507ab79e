/** A word for a shell's command line. */
export function quote(text: string): string {
  return /^[\w/.:=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
