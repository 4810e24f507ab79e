/** What the bus tells about: what happens, and once a second how everything stands. */
export const TOPICS = ['events', 'state'] as const;

export type Topic = (typeof TOPICS)[number];
