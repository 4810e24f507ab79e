import * as z from 'zod';

/** What has been counted: a port's bytes may exceed the 2^53 up to which `z.int()` goes. */
export const count = z
  .number()
  .nonnegative()
  .refine((value) => Number.isInteger(value))
  .meta({ type: 'integer' });
