/**
 * Frames: a little-endian u32 length, then that many bytes of msgpack. File descriptors ride on a
 * frame's first byte as SCM_RIGHTS; the frame itself says in `fds` how many it brings.
 *
 * A decoder takes a stream cut anywhere. What it can't trust ends the channel: a length over the
 * limit, bytes that aren't msgpack, a map that isn't a message.
 */

import { Packr } from 'msgpackr';
import { messageOf, SluiceError } from './errors.js';

export const LENGTH_BYTES = 4;
/** A port with all its addresses takes under 1 KiB; statistics of 10,000 ports under 1 MiB. */
export const MAX_FRAME_BYTES = 1 << 20;

// Records and shared structures are a per-connection state that a restarted peer would not have;
// structured clones could hold cycles.
const packr = new Packr({ useRecords: false, int64AsType: 'number', structuredClone: false });

export function encodeFrame(message: object): Buffer {
  const body = packr.pack(message);
  if (body.length > MAX_FRAME_BYTES) {
    throw new SluiceError(
      'ERR_FRAME_SIZE',
      `message of ${body.length} bytes is over the limit of ${MAX_FRAME_BYTES}`,
    );
  }
  const frame = Buffer.allocUnsafe(LENGTH_BYTES + body.length);
  frame.writeUInt32LE(body.length, 0);
  frame.set(body, LENGTH_BYTES);
  return frame;
}

export class FrameDecoder {
  #pending: Buffer = Buffer.alloc(0);

  /** Takes the next bytes of the stream; yields every message that is complete with them. */
  *push(chunk: Uint8Array): Generator<unknown, void, void> {
    if (this.#pending.length === 0) this.#pending = Buffer.from(chunk);
    else if (chunk.length > 0) this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= LENGTH_BYTES) {
      const length = this.#pending.readUInt32LE(0);
      if (length === 0 || length > MAX_FRAME_BYTES) {
        throw new SluiceError(
          'ERR_FRAME_SIZE',
          `frame of ${length} bytes; expected 1 to ${MAX_FRAME_BYTES}`,
        );
      }
      const end = LENGTH_BYTES + length;
      if (this.#pending.length < end) return;
      const body = this.#pending.subarray(LENGTH_BYTES, end);
      this.#pending = this.#pending.subarray(end);
      yield decode(body);
    }
  }

  /** True when the stream may end here without having cut a frame in two. */
  get isAtBoundary(): boolean {
    return this.#pending.length === 0;
  }
}

function decode(body: Buffer): unknown {
  try {
    return packr.unpack(body);
  } catch (error) {
    throw new SluiceError('ERR_FRAME', `frame is not msgpack: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
