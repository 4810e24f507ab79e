/** What a check says: one line for a person, one object for a program. */

export interface Finding {
  readonly check: string;
  /** A `warning` costs something, a `failure` keeps ports from being published. */
  readonly status: 'ok' | 'warning' | 'failure';
  readonly text: string;
  /** A command that puts it right. */
  readonly remedy?: string;
}

export function ok(check: string, text: string): Finding {
  return { check, status: 'ok', text };
}

export function warning(check: string, text: string, remedy?: string): Finding {
  return { check, status: 'warning', text, ...(remedy !== undefined && { remedy }) };
}

export function failure(check: string, text: string, remedy?: string): Finding {
  return { check, status: 'failure', text, ...(remedy !== undefined && { remedy }) };
}
