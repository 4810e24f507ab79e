/** A one-to-one SCTP association: Node has none, so its calls go to libc. */
import { Fd, errnoName, must } from '../../msg/fd.js';
import * as libc from '../../msg/libc.js';
import * as linux from '../../msg/linux.js';
import { SluiceError } from '../../msg/errors.js';
import { type Address, encodeSockAddr, familyOf } from '../../msg/sockaddr.js';
import { CLOSE_WATCH_MS, type Finding, type ProbeOptions, verdictOf } from './result.js';

const MAX_MESSAGE_BYTES = 65536;
/** poll(2). */
const POLLIN = 1;
const POLLOUT = 4;
const memory = libc.allocate(MAX_MESSAGE_BYTES);
const pollfd = libc.allocate(8);

/** @throws SluiceError ERR_SCTP where the kernel has none, ERR_PAYLOAD for one that is too large */
export async function probeSctp(to: Address, options: ProbeOptions): Promise<Finding> {
  const { payload, timeoutMs } = options;
  if (payload !== undefined && payload.length > MAX_MESSAGE_BYTES) {
    const text = `a payload of ${payload.length} bytes is too large: at most ${MAX_MESSAGE_BYTES}`;
    throw new SluiceError('ERR_PAYLOAD', text);
  }
  using socket = openSocket(familyOf(to.ip));
  const fd = socket.number;
  const startedAt = performance.now();
  const elapsed = () => performance.now() - startedAt;
  const failed = (error: number): Finding => {
    const errno = errnoName(error);
    const verdict = verdictOf(errno);
    if (verdict === undefined) throw new SluiceError(errno, `probing ${to.ip} failed: ${errno}`);
    return { verdict, ms: elapsed(), errno };
  };
  const address = encodeSockAddr(to);
  memory.bytes.set(address);
  const connecting = libc.connect(fd, memory.address, address.length);
  if (connecting < 0 && connecting !== linux.EINPROGRESS) return failed(connecting);
  if (!(await isReady(fd, POLLOUT, timeoutMs))) return { verdict: 'silent', ms: elapsed() };
  const error = pendingError(fd);
  if (error < 0) return failed(error);
  const connectedMs = elapsed();
  if (payload !== undefined) {
    memory.bytes.set(payload);
    const sent = libc.send(fd, memory.address, payload.length, linux.MSG_NOSIGNAL);
    if (sent < 0) return failed(sent);
  }
  const waitMs = payload === undefined ? Math.min(timeoutMs, CLOSE_WATCH_MS) : timeoutMs;
  if (!(await isReady(fd, POLLIN, waitMs))) {
    return payload === undefined
      ? { verdict: 'connected', ms: connectedMs }
      : { verdict: 'unanswered', ms: elapsed() };
  }
  const bytes = libc.recv(fd, memory.address, MAX_MESSAGE_BYTES, linux.MSG_DONTWAIT);
  if (bytes < 0) return failed(bytes);
  return bytes === 0
    ? { verdict: 'closed', ms: elapsed() }
    : { verdict: 'answered', ms: elapsed(), bytes, from: { ip: to.ip, port: to.port } };
}

function openSocket(family: number): Fd {
  const type = linux.SOCK_STREAM | linux.SOCK_NONBLOCK | linux.SOCK_CLOEXEC;
  const fd = libc.socket(family, type, linux.IPPROTO_SCTP);
  if (fd >= 0) return new Fd(fd);
  const errno = errnoName(fd);
  throw new SluiceError(
    'ERR_SCTP',
    `this kernel makes no SCTP socket (${errno}): load its module as root with 'modprobe sctp', where it has one`,
  );
}

async function isReady(fd: number, events: number, timeoutMs: number): Promise<boolean> {
  pollfd.view.setInt32(0, fd, true);
  pollfd.view.setInt16(4, events, true);
  return (await libc.pollAsync(pollfd.address, 1, timeoutMs)) !== 0;
}

/** What became of a connect(2): 0, or the negative errno. */
function pendingError(fd: number): number {
  memory.view.setInt32(4, 4, true);
  const { address } = memory;
  must(libc.getsockopt(fd, linux.SOL_SOCKET, linux.SO_ERROR, address, address + 4), 'getsockopt');
  return -memory.view.getInt32(0, true);
}
