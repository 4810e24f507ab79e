/** The types of node-ipc's messages: one of the topic's, or how many of those a viewer missed. */
export const MESSAGE = 'message';
export const MISSED = 'missed';
