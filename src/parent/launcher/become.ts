import { fcntl } from '../../msg/libc.js';
import { execve } from '../../msg/process.js';
import { withCallersSettings } from './callers-settings.js';

const F_SETFD = 2;
const STDIO_FDS = 3;

/**
 * Replaces this process by the program, as if that had been started in the first place. Node.js has
 * marked the descriptors that it was given as close-on-exec.
 */
export function becomeProgram(command: readonly string[]): never {
  for (let fd = 0; fd < STDIO_FDS + activatedFds(); fd += 1) {
    fcntl(fd, F_SETFD, 0);
  }
  const [file = '', ...args] = withCallersSettings(command);
  return execve(file, [file, ...args], process.env);
}

/** How many sockets systemd passed on, after stdio: sd_listen_fds(3). */
function activatedFds(): number {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  return LISTEN_PID === String(process.pid) ? Number(LISTEN_FDS) || 0 : 0;
}
