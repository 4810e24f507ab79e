/** What the checks read. They get it as an argument, so that each is a function of it. */
import { execFile } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { release, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { close, pidfdGetfd, pidfdOpen, socket } from '../../msg/libc.js';
import { openFilesLimits } from '../../msg/open-files.js';
import type { Env } from '../install/folders.js';
import { hasFileCapabilities } from '../file-capabilities.js';
import { systemPath } from '../nsenter.js';
import { readSysctl } from '../sysctl.js';

export interface Machine {
  readonly env: Env;
  readonly uid: number;
  /** The uid as text for a user whom nobody knows. */
  readonly user: string;
  /** Of the kernel, for example `6.1.0-18-amd64`. */
  readonly release: string;
  /** Undefined for what can't be read. */
  read(path: string): string | undefined;
  sysctl(name: string): string | undefined;
  /** The executable file of that name on `path`, or else on the user's own PATH. */
  which(program: string, path?: string): string | undefined;
  /** The PATH with the system's folders, where sluice looks for the system's tools. */
  readonly systemPath: string;
  /** The program that runs us. */
  readonly node: string;
  hasFileCapabilities(file: string): boolean;
  /** The hard limit of open files; Infinity for none. */
  maxOpenFiles(): number;
  /** 0, or the negative errno of socket(2). */
  trySocket(family: number, type: number, protocol: number): number;
  /** 0, or the negative errno of pidfd_getfd(2) with this process. */
  tryPidfdGetfd(): number;
  run(program: string, ...args: readonly string[]): Promise<Ran>;
}

export interface Ran {
  /** Undefined for a program that is not there, or was killed after the time limit. */
  readonly exitCode: number | undefined;
  /** Both outputs. */
  readonly output: string;
}

const TIME_LIMIT_MS = 5_000;

export function thisMachine(env: Env = process.env): Machine {
  const path = env['PATH'] ?? '';
  return {
    env,
    uid: process.getuid?.() ?? 0,
    user: userName(),
    release: release(),
    read,
    sysctl: readSysctl,
    which: (program, where = path) => which(program, where),
    systemPath: systemPath(),
    node: process.execPath,
    hasFileCapabilities,
    tryPidfdGetfd,
    maxOpenFiles: () => openFilesLimits().hard,
    trySocket,
    run: (program, ...args) => run(program, args),
  };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.());
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function which(program: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder || '.', program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function trySocket(family: number, type: number, protocol: number): number {
  const fd = socket(family, type, protocol);
  if (fd >= 0) close(fd);
  return Math.min(fd, 0);
}

function tryPidfdGetfd(): number {
  const pidfd = pidfdOpen(process.pid);
  if (pidfd < 0) return pidfd;
  const fd = pidfdGetfd(pidfd, pidfd);
  close(pidfd);
  if (fd >= 0) close(fd);
  return Math.min(fd, 0);
}

function run(program: string, args: readonly string[]): Promise<Ran> {
  const env = { ...process.env, PATH: systemPath(), LC_ALL: 'C' };
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: TIME_LIMIT_MS }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      const exitCode = typeof code === 'number' ? code : undefined;
      resolve({ exitCode, output: (stdout + stderr).trim() });
    });
  });
}
