/** What an agent shed, as a line for people: how much, why, and what helps. */

import { SHED_REASONS, type ShedCounts, type ShedReason } from '../msg/overload.js';

const EXPLAINED: Readonly<Record<Exclude<ShedReason, 'backlog'>, string>> = {
  files:
    'its limit of open files is reached: raise it with `ulimit -Hn` or, in a systemd unit, LimitNOFILE=',
  systemFiles:
    'the system has no file left to open: raise it with `sudo sysctl -w fs.file-max=...`',
  memory: 'it is short of memory: raise the limit of the service (`ulimit -v`, MemoryMax=)',
  watches:
    'its user has no epoll watch left: raise it with `sudo sysctl -w fs.epoll.max_user_watches=...`',
  maxFlows: 'the limit of --max-flows is reached',
  maxFlowsPerPort: 'the limit of --max-flows-per-port is reached',
  sessions:
    'its table of UDP sessions, or a share of it, is full: a larger limit of open files makes it larger (`ulimit -Hn`; in a systemd unit, LimitNOFILE=)',
};

const REASONS = SHED_REASONS.filter((reason) => reason !== 'backlog');
const STUCK =
  'new connections wait, and can not even be refused: others take every file or all memory that ' +
  'the system has; see /proc/sys/fs/file-nr and `free`';

export function shedReport({ backlog = 0, ...counts }: Partial<ShedCounts>): string {
  const shed = REASONS.filter((reason) => (counts[reason] ?? 0) > 0).map(
    (reason) => `${counts[reason]} because ${EXPLAINED[reason]}`,
  );
  return [
    shed.length > 0 ? `the agent shed flows: ${shed.join('; ')}` : '',
    backlog > 0 ? `${STUCK} (tried ${backlog} times)` : '',
  ]
    .filter((part) => part !== '')
    .join('; ');
}
