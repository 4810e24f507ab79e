/** One direction of a connection: moves what one socket receives to the other one. */

export type PumpResult =
  /** Waits for an edge. */
  | 'waiting'
  /** Its share of the turn is used up. */
  | 'again'
  /** The source has ended and all that it sent was handed over. */
  | 'ended'
  /** The source, or the sink, is broken. */
  | 'sourceFailed'
  | 'sinkFailed';

export interface Pump {
  /** The source may have something, or its end, to read. */
  readable: boolean;
  /** The sink may take something. */
  writable: boolean;
  /** Urgent data or a reset was announced: a short read no longer means that the source is dry. */
  untilDry: boolean;
  /** The source's FIN has arrived: the read that doesn't fill the buffer is the last one. */
  hungUp: boolean;
  /** Bytes delivered so far. */
  readonly moved: number;
  /** Messages delivered so far; a stream of bytes has none. */
  readonly packets: number;
  /** Moves what it can in its share of a turn. */
  run(source: number, sink: number): PumpResult;
  /** Hands over what is held, without reading more: the last act of a source that was reset. */
  flush(sink: number): PumpResult;
  /** Gives up whatever it holds. */
  release(): void;
}
