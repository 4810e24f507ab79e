/** What the driver's process inherits, after stdio; sockets of ports from `ports` on. */
export const DRIVER_FDS = { launcher: 3, api: 4, link: 5, ports: 6 } as const;
