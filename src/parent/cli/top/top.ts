/** top: how everything stands, once a second: on a whole terminal, or as lines. */
import { SluiceError } from '../../../msg/errors.js';
import { createApiClient } from '../../api/client.js';
import { complain } from '../report.js';
import { type SocketOptions, socketPathOf } from '../socket.js';
import { watchTopic } from '../watch.js';
import { draw, plainTable } from './draw.js';
import { LookInto } from './look-into.js';
import { Rates, type Table } from './rows.js';
import { Screen } from './screen.js';
import { type State, stateSchema } from './state.js';
import { FIRST_VIEW, pressed, type Sort, type View, visibleFlows, visiblePorts } from './view.js';

export interface TopOptions extends SocketOptions {
  readonly once?: true;
  readonly json?: true;
  readonly sort?: Sort;
  readonly filter?: string;
}

/** Ends the process when the user does, or after what `--once` asks for. */
export async function showTop(options: TopOptions): Promise<never> {
  const api = await socketPathOf(options);
  const isLive = process.stdout.isTTY && !options.once && !options.json;
  if (isLive) return live(api, options);
  const rates = new Rates();
  return watchStates(api, (state, isFirst) => {
    if (options.json) print([JSON.stringify(state)]);
    else {
      const table = rates.next(state);
      // Rates need two.
      if (isFirst) return;
      print(plainTable(filtered(table, options)));
    }
    if (options.once) process.exit(0);
  });
}

async function live(api: string, options: TopOptions): Promise<never> {
  const rates = new Rates();
  let table: Table | undefined;
  let view: View = { ...FIRST_VIEW, ports: { ...FIRST_VIEW.ports, ...chosenBy(options) } };
  const show = () => {
    if (table === undefined) return;
    const look = { ...screen.size, isColoured: !process.env['NO_COLOR'], isUtf8: isUtf8() };
    screen.draw(draw(table, inside, view, look));
  };
  const inside = new LookInto(createApiClient(api), show);
  const ask = () => inside.ask(view.isInside ? Number(view.ports.selected) : undefined);
  const rows = () =>
    view.isInside
      ? visibleFlows(inside.table?.flows ?? [], view.flows)
      : visiblePorts(table?.ports ?? [], view.ports);
  using screen = new Screen(process.stdin, process.stdout, (key) => {
    const wasInside = view.isInside;
    view = pressed(view, key, rows());
    if (view.isOver) process.exit(0);
    if (view.isInside !== wasInside) void ask();
    show();
  });
  process.stdout.on('resize', show);
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(0));
  // Awaited: the screen is closed before an error is told.
  return await watchStates(api, (state) => {
    const next = rates.next(state);
    if (!view.isPaused) {
      table = next;
      void ask();
    }
    show();
  });
}

function watchStates(
  api: string,
  onState: (state: State, isFirst: boolean) => void,
): Promise<never> {
  let isFirst = true;
  return watchTopic(api, 'state', {
    onWatching() {},
    onMissed: (messages) => complain(`${messages} seconds were missed: this reader is too slow`),
    onMessage(message) {
      const { success, data, error } = stateSchema.safeParse(message);
      if (!success) {
        const what =
          'the driver tells its state in another form; run `sluice reload`, or use its own version of sluice';
        throw new SluiceError('ERR_STATE', what, { cause: error });
      }
      onState(data, isFirst);
      isFirst = false;
    },
  });
}

function filtered(table: Table, options: TopOptions): Table {
  return { ...table, ports: visiblePorts(table.ports, chosenBy(options)) };
}

function chosenBy({ sort = FIRST_VIEW.ports.sort, filter = '' }: TopOptions) {
  return { sort, filter };
}

function print(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** locale(7): the first that is set counts. */
function isUtf8(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '');
}
