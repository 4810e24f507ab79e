import { getxattr } from '../msg/libc.js';

/** Whether whoever executes the file gains capabilities: capabilities(7), "File capabilities". */
export function hasFileCapabilities(file: string): boolean {
  return getxattr(file, 'security.capability', 0, 0) > 0;
}
