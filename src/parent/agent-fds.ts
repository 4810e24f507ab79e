/** What the agent inherits, after stdio. The door is explained at the top of `child/agent.ts`. */
export const AGENT_FDS = { fd: 3, door: 4, doorOutside: 5, life: 6 } as const;

/** As the agent is told. */
export function opaqueForChild(): Readonly<Record<'fd' | 'door' | 'life', string>> {
  const { fd, door, life } = AGENT_FDS;
  return { fd: String(fd), door: String(door), life: String(life) };
}
