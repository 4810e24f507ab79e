/** install and uninstall: what will change is shown before it does. */
import { spawnSync } from 'node:child_process';
import { apply, type Change, type Plan } from '../install/change.js';
import { type Engine, type EngineName, ENGINES, PORT_DRIVER } from '../install/engine.js';
import type { Entry } from '../install/entry.js';
import { planInstall, planUninstall } from '../install/install.js';
import { managerRuns, usesSystemd } from '../install/unit.js';
import { binFolder, dropInPath } from '../install/wanted.js';
import { stopSignal } from '../launcher/signals.js';
import { quote } from '../shell.js';
import { complain } from './report.js';

interface Options {
  readonly dryRun?: true;
}

const RELOAD = ['systemctl', '--user', 'daemon-reload'] as const;

export function install(name: EngineName, options: Options): void {
  const engine = ENGINES[name];
  const plan = planInstall(process.env, engine);
  carryOut(plan, options, `${name} is set up for sluice already`);
  if (usesSystemd(process.env, engine.unit)) restart(engine, plan, options);
  else print(...settings(engine));
  finish(options);
}

export function uninstall(name: EngineName, options: Options): void {
  const engine = ENGINES[name];
  const plan = planUninstall(process.env, engine);
  carryOut(plan, options, `nothing is installed for ${name}`);
  if (plan.changes.some((change) => isDropIn(engine, change))) restart(engine, plan, options);
  finish(options);
}

function finish({ dryRun }: Options): void {
  if (dryRun) print('', 'Nothing was changed: this is a dry run.');
}

function carryOut(plan: Plan, { dryRun }: Options, nothing: string): void {
  const { changes } = plan;
  print(...changes.flatMap(describe));
  if (changes.length === 0) print(nothing);
  if (dryRun) return;
  // All of it or nothing: a signal is only seen once this is over.
  using _ = stopSignal();
  apply(plan);
}

/** systemd is told of a changed drop-in; the engine is left to its user, whose containers it runs. */
function restart(engine: Engine, { changes }: Plan, { dryRun }: Options): void {
  const changed = changes.some((change) => isDropIn(engine, change));
  const commands = [['systemctl', '--user', 'restart', engine.name].join(' ')];
  if (changed && (dryRun || !reload())) commands.unshift(RELOAD.join(' '));
  print('', `To have it take effect, which restarts ${engine.name}:`, `  ${commands.join(' && ')}`);
}

/** False where no systemd of this user's can be asked. */
function reload(): boolean {
  if (!managerRuns(process.env)) return false;
  const [program, ...args] = RELOAD;
  const { status, error, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return true;
  complain(`${RELOAD.join(' ')} failed: ${error?.message ?? stderr.trim()}`);
  return false;
}

function isDropIn(engine: Engine, { before, after }: Change): boolean {
  return (after ?? before)?.path === dropInPath(process.env, engine);
}

function settings(engine: Engine): string[] {
  return [
    '',
    `There is no systemd here. Set this wherever ${engine.script} is started:`,
    `  export ${engine.variable}=${PORT_DRIVER}`,
    `  export PATH=${quote(binFolder(process.env, engine))}:"$PATH"`,
  ];
}

function describe({ verb, before, after }: Change): string[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  return [
    `${verb} ${(after ?? before)?.path}`,
    ...old.filter((line) => !now.includes(line)).map((line) => `  - ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `  + ${line}`),
  ];
}

function linesOf(entry: Entry | undefined): string[] {
  if (entry === undefined) return [];
  return 'text' in entry ? entry.text.trimEnd().split('\n') : [`-> ${entry.target}`];
}

function print(...lines: readonly string[]): void {
  for (const line of lines) process.stdout.write(`${line}\n`);
}
