/** All that takes what others wrote, and the limits that hold for them. `npm run fuzz` and the unit tests run each of them. */
import * as channel from './channel.js';
import * as commands from './commands.js';
import * as netlink from './netlink.js';
import * as rules from './rules.js';
import * as sessions from './sessions.js';
import * as state from './state.js';
import type { Target } from './target.js';

export const TARGETS: readonly Target[] = [
  ...Object.values(channel),
  ...Object.values(commands),
  ...Object.values(netlink),
  ...Object.values(rules),
  ...Object.values(sessions),
  ...Object.values(state),
];
