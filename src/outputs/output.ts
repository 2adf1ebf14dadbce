import type { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';

/** Where the tags of an output go: a connection, a file, a packager. */
export interface TagSink {
  /** False while the sink does not keep up. Tags then wait in the output's queue, or are dropped. */
  readonly writable: boolean;
  /** Takes tags whose timestamps start at 0. Never blocks. */
  write(group: TagGroup): void;
}

export interface OutputEvents {
  /** The state of the output has changed. */
  change: [];
  /** The output has ended and has released everything it held. */
  closed: [];
}

export interface OutputCounters {
  /** Bytes that the far end has taken. */
  readonly bytesSent: number;
  /** Video frames that were not delivered: the far end was slow, or the gateway was overloaded. */
  readonly framesDropped: number;
}

export const NO_COUNTERS: OutputCounters = { bytesSent: 0, framesDropped: 0 };

/** The sum of what several connections or outputs have counted. */
export const sumCounters = (all: readonly OutputCounters[]): OutputCounters => ({
  bytesSent: all.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
  framesDropped: all.reduce((sum, { framesDropped }) => sum + framesDropped, 0),
});

/**
 * A consumer of one rendition of a live stream. A transponder is one kind. How media reaches it is {@link OutputFeed};
 * how outputs are kept, found and ended with their stream is {@link OutputSet}.
 */
export interface Output extends EventEmitter<OutputEvents> {
  readonly id: string;
  /** The live stream that the output consumes. */
  readonly streamName: string;
  /** It does not end with the live stream. */
  readonly outlivesStream?: boolean;
  /** Each kind has its own states; `ended` is final and common to all. */
  readonly status: string;
  /** Why the output does not deliver at the moment, or why it has ended. */
  readonly failure: GatewayError | undefined;
  readonly counters: OutputCounters;
  /** Ends the output and waits until it has released everything. Idempotent: the first reason is kept. */
  stop(reason: GatewayError): Promise<void>;
}
