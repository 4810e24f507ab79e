/** A suite's page: what was measured, where, and how to measure it again. */
import type { Drawing } from './plots/draw.js';
import type { Setting } from './results.js';
import type { Plan } from './rounds.js';
import type { Suite } from './suites/suite.js';

export interface Page {
  /** In Markdown. */
  readonly table: string;
  readonly legend: string;
  readonly goals: readonly string[];
  readonly drawings: readonly Drawing[];
}

export function markdownOf(
  suite: Suite,
  { peers }: Plan,
  { date, command, machine, versions }: Setting,
  { table, legend, goals, drawings }: Page,
): string {
  const about = Object.entries(machine).map(([name, text]) => `| ${name} | ${text} |`);
  const compared = peers.map(
    ({ name, description }) => `| ${name} | ${description} | ${versions[name]} |`,
  );
  const parts = [
    `# Suite ${suite.name}`,
    `${date}. In full, with every sample and command: [${suite.name}.json](${suite.name}.json).`,
    ['```sh not-run: it takes minutes', command, '```'].join('\n'),
    table,
    legend,
    goals.map((goal) => `- ${goal}`).join('\n'),
    ...drawings.map(({ name, title }) => `![${title}](${suite.name}-${name}.svg)`),
    ['| peer | what it is | version |', '| --- | --- | --- |', ...compared].join('\n'),
    ['| machine | |', '| --- | --- |', ...about].join('\n'),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}
