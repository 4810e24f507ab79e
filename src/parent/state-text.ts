/** What the state file says. A module of its own, because most drivers find no such file. */

import * as z from 'zod';
import { messageOf, SluiceError } from '../msg/errors.js';
import { validateSpec } from '../msg/spec.js';
import { type PortsState, STATE_VERSION } from './state.js';

const schema = z.object({
  version: z.literal(STATE_VERSION),
  child: z.object({ pid: z.int(), startTicks: z.int() }),
  lastId: z.int().nonnegative(),
  ports: z.array(z.object({ id: z.int().positive(), spec: z.unknown() })),
});

/** Throws a SluiceError ERR_STATE_FILE for what no StateFile has written. */
export function parseState(text: string): PortsState & Pick<z.infer<typeof schema>, 'child'> {
  try {
    const { child, lastId, ports } = schema.parse(JSON.parse(text));
    const checked = ports.map(({ id, spec }) => ({ id, spec: validateSpec(spec) }));
    return { child, lastId, ports: checked };
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    const line = reason.replaceAll(/\s*\n\s*/g, ' ');
    throw new SluiceError('ERR_STATE_FILE', line, { cause: error });
  }
}
