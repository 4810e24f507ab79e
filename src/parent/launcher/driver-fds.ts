/** What the driver's process inherits, after stdio. */
export const DRIVER_FDS = { launcher: 3, api: 4 } as const;
