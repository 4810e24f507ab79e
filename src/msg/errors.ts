/**
 * The one error type. `code` is stable and meant for programs; the message is meant for a person
 * and says what failed, which value was seen and what to do about it.
 */
export class SluiceError extends Error {
  override readonly name = 'SluiceError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
