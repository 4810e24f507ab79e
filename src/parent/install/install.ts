/** Installing and uninstalling, as plans. */
import { SluiceError } from '../../msg/errors.js';
import { type Plan, plan } from './change.js';
import type { Engine } from './engine.js';
import type { Env } from './folders.js';
import { usesSystemd } from './unit.js';
import { dropInOf, dropInPath, linksOf, ownFolder } from './wanted.js';

/** @throws SluiceError as `plan` and `dropInOf`, and ERR_INSTALL_ROOT */
export function planInstall(env: Env, engine: Engine): Plan {
  assertUser();
  const dropIn = usesSystemd(env, engine.unit) ? [dropInOf(env, engine)] : [];
  return planFor(env, engine, [...linksOf(env, engine), ...dropIn]);
}

/** @throws SluiceError as `plan`, and ERR_INSTALL_ROOT */
export function planUninstall(env: Env, engine: Engine): Plan {
  assertUser();
  return planFor(env, engine, []);
}

function planFor(env: Env, engine: Engine, wanted: Plan['wanted']): Plan {
  return plan(ownFolder(env, engine), wanted, [dropInPath(env, engine)]);
}

function assertUser(): void {
  if (process.getuid?.() !== 0) return;
  throw new SluiceError(
    'ERR_INSTALL_ROOT',
    'this is root, and rootless engines are those of other users; run this as the user who runs the engine',
  );
}
