/** All that takes what others wrote. `npm run fuzz` and the unit tests run each of them. */
import * as channel from './channel.js';
import * as commands from './commands.js';
import * as netlink from './netlink.js';
import * as rules from './rules.js';
import * as state from './state.js';
import type { Target } from './target.js';

export const TARGETS: readonly Target[] = [
  ...Object.values(channel),
  ...Object.values(commands),
  ...Object.values(netlink),
  ...Object.values(rules),
  ...Object.values(state),
];
