/** What the state file says. A module of its own, because most drivers find no such file. */

import * as z from 'zod';
import { messageOf, SluiceError } from '../msg/errors.js';
import type { Status } from '../msg/port.js';
import { validateSpec } from '../msg/spec.js';
import { type PortsState, STATE_VERSION } from './state.js';

const portSchema = z.object({ id: z.int().positive(), spec: z.unknown() });
const schema = z.object({
  version: z.literal(STATE_VERSION),
  child: z.object({ pid: z.int(), startTicks: z.int() }),
  lastId: z.int().nonnegative(),
  ports: z.array(portSchema),
});
const changeSchema = z.union([
  z.strictObject({ added: portSchema }),
  z.strictObject({ removed: z.int().positive() }),
]);

/** Throws a SluiceError ERR_STATE_FILE for what no StateFile has written. */
export function parseState(text: string): PortsState & Pick<z.infer<typeof schema>, 'child'> {
  try {
    const [first = '', ...lines] = text.split('\n');
    const { child, lastId: firstId, ports: firstPorts } = schema.parse(JSON.parse(first));
    const ports = new Map(firstPorts.map((port) => [port.id, checked(port)]));
    let lastId = firstId;
    // The last line has no end: it is empty, or was cut short before anybody had an answer.
    for (const line of lines.slice(0, -1)) {
      const change = changeSchema.parse(JSON.parse(line));
      if ('removed' in change) ports.delete(change.removed);
      else {
        ports.set(change.added.id, checked(change.added));
        lastId = Math.max(lastId, change.added.id);
      }
    }
    return { child, lastId, ports: [...ports.values()] };
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    const line = reason.replaceAll(/\s*\n\s*/g, ' ');
    throw new SluiceError('ERR_STATE_FILE', line, { cause: error });
  }
}

function checked({ id, spec }: z.infer<typeof portSchema>): Status {
  return { id, spec: validateSpec(spec) };
}
