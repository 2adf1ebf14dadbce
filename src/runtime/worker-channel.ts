import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Logger } from '../observe/logger.ts';
import type { FastPaths } from './fast-paths.ts';
import { readDirectly } from './pipe.ts';

/** An RTP packet: a view of what was read from the worker. Nothing else writes to that memory. */
export type PacketListener = (packet: Buffer) => void;

export interface WorkerChannelOptions {
  /** `media_batch_ms`: see `pipe.ts`. */
  readonly batchMs: number;
  readonly fastPaths: FastPaths;
  readonly logger: Logger;
}

/** The pipes on which a mediasoup worker receives and sends (the fourth and the fifth of its `stdio`). */
const [TO_WORKER, FROM_WORKER] = [3, 4];
/** Each message follows its length, a 32-bit number; little-endian, as are all machines that a worker is built for. */
const LENGTH_BYTES = 4;
/** The largest message of mediasoup (`MESSAGE_MAX_LEN` in its Channel.ts). */
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

// From mediasoup's FlatBuffers schema (worker/fbs/message.fbs, notification.fbs, consumer.fbs). A start-up check and a
// test compare them with the real worker.
const MESSAGE = { dataType: 0, data: 1 } as const;
const NOTIFICATION = { handlerId: 0, event: 1, bodyType: 2, body: 3 } as const;
const RTP_NOTIFICATION = { data: 0 } as const;
const DATA_TYPE_NOTIFICATION = 3;
const EVENT_CONSUMER_RTP = 21;
const BODY_CONSUMER_RTP = 17;

/**
 * Takes the RTP packets out of the messages of a mediasoup worker and passes all other messages on to mediasoup.
 * mediasoup's own path costs a packet two copies, an event-loop tick, a text decoder and three event emitters: more
 * than everything that is done with the packet afterwards.
 *
 * A message that does not have the expected layout is mediasoup's; after an impossible length everything is.
 */
export class WorkerChannel {
  readonly #consumers = new Set<ListenedConsumer>();
  /** The consumer of the last packet: the next packet is probably of the same frame. */
  #lastConsumer: ListenedConsumer | undefined;
  readonly #readers: readonly ((data: Buffer) => void)[];
  readonly #options: WorkerChannelOptions;
  /** The beginning of a message whose end has not been read yet: pieces, and their total length. */
  #partial: Buffer[] = [];
  #partialBytes = 0;
  /** The stream of messages cannot be split: mediasoup gets every byte. */
  #broken = false;

  /** @param requests what is written to it is answered on `pipe` */
  constructor(pipe: Readable, options: WorkerChannelOptions, requests?: Writable) {
    this.#options = options;
    this.#readers = pipe.listeners('data') as ((data: Buffer) => void)[];
    for (const reader of this.#readers) pipe.off('data', reader);
    const { batchMs, fastPaths, logger } = options;
    const read = (data: Buffer): void => this.#read(data);
    pipe.on('data', read);
    const reads = readDirectly(pipe, {
      batchMs,
      read,
      failed: (reason, error) => {
        if (error === undefined) fastPaths.fallBack('pipe_reads', reason);
        else logger.error({ err: error }, reason);
      },
    });
    if (typeof reads === 'string') fastPaths.fallBack('pipe_reads', reads);
    else {
      fastPaths.activate('pipe_reads');
      if (requests) beforeWrites(requests, reads.hurry);
    }
  }

  /** The channel of a worker's process, or why there is none. */
  static attach(child: ChildProcess | undefined, pid: number, options: WorkerChannelOptions): WorkerChannel | string {
    if (!child) return 'Node published no child process';
    if (child.pid !== pid) return 'Node published another child process';
    const pipe = child.stdio[FROM_WORKER] as Readable | null | undefined;
    if (typeof pipe?.listeners !== 'function' || pipe.listeners('data').length === 0)
      return 'mediasoup does not read from the expected pipe';
    return new WorkerChannel(pipe, options, child.stdio[TO_WORKER] as Writable | undefined);
  }

  /**
   * Passes the packets of a consumer to `listener` instead of emitting the consumer's `rtp` event.
   *
   * @returns how to stop
   */
  listen(consumerId: string, listener: PacketListener): () => void {
    const consumer: ListenedConsumer = { id: wordsOf(consumerId), listener };
    this.#consumers.add(consumer);
    return () => {
      if (this.#lastConsumer === consumer) this.#lastConsumer = undefined;
      this.#consumers.delete(consumer);
    };
  }

  #read(data: Buffer): void {
    if (this.#broken) return this.#forward(data);
    const rest = this.#partialBytes > 0 ? this.#complete(data) : data;
    if (!rest) return;
    const view = viewOf(rest);
    let start = 0;
    while (rest.length - start >= LENGTH_BYTES) {
      const length = view.getUint32(start, true);
      if (length > MAX_MESSAGE_BYTES) return this.#break(rest.subarray(start), length);
      const end = start + LENGTH_BYTES + length;
      if (end > rest.length) break;
      this.#take(rest, view, start, end);
      start = end;
    }
    if (start < rest.length) this.#keep(rest.subarray(start));
  }

  #keep(piece: Buffer): void {
    this.#partial.push(piece);
    this.#partialBytes += piece.length;
  }

  /**
   * Takes a message that was read in several pieces. Returns the bytes after it, or nothing while it is incomplete;
   * copies no more than the message.
   */
  #complete(data: Buffer): Buffer | undefined {
    // Only a length that was cut itself needs the pieces joined early.
    if (this.#partialBytes < LENGTH_BYTES) {
      const joined = Buffer.concat([...this.#partial, data]);
      this.#partial = [];
      this.#partialBytes = 0;
      return joined;
    }
    const first = this.#partial[0]!;
    const length = LENGTH_BYTES + first.readUInt32LE(0);
    const missing = length - this.#partialBytes;
    if (missing > data.length) {
      this.#keep(data);
      return undefined;
    }
    const message = Buffer.concat([...this.#partial, data.subarray(0, missing)], length);
    this.#partial = [];
    this.#partialBytes = 0;
    this.#take(message, viewOf(message), 0, length);
    return data.subarray(missing);
  }

  #take(bytes: Buffer, view: DataView, start: number, end: number): void {
    const found = this.#packetIn(view, start + LENGTH_BYTES, end);
    if (!found) return this.#forward(bytes.subarray(start, end));
    try {
      found.consumer.listener(bytes.subarray(found.start, found.end));
    } catch (error) {
      // Packets of other streams were read with this one.
      this.#options.logger.error({ err: error }, 'a packet could not be processed');
    }
  }

  #forward(data: Buffer): void {
    for (const reader of this.#readers) {
      try {
        reader(data);
      } catch (error) {
        this.#options.logger.error({ err: error }, 'mediasoup could not process a message of its worker');
      }
    }
  }

  #break(rest: Buffer, length: number): void {
    this.#broken = true;
    this.#options.fastPaths.fallBack('worker_channel', `a message of ${length} bytes was announced`);
    this.#forward(rest);
  }

  /**
   * Where the packet is in a message that brings one of a consumer that is listened to; nothing for every other
   * message.
   */
  #packetIn(
    view: DataView,
    start: number,
    end: number,
  ): { consumer: ListenedConsumer; start: number; end: number } | undefined {
    try {
      const notification = rtpNotification(view, start);
      if (notification === undefined) return undefined;
      const consumer = this.#consumerAt(view, vector(view, notification, NOTIFICATION.handlerId));
      if (!consumer) return undefined;
      const body = follow(view, field(view, notification, NOTIFICATION.body));
      const packet = vector(view, body, RTP_NOTIFICATION.data);
      const packetEnd = packet + lengthOf(view, packet);
      return packet >= start && packetEnd <= end ? { consumer, start: packet, end: packetEnd } : undefined;
    } catch (error) {
      if (error instanceof RangeError) return undefined; // an offset points outside
      throw error;
    }
  }

  /** Compares bytes: making a string of the UUID takes longer than comparing a hundred of them. */
  #consumerAt(view: DataView, id: number): ListenedConsumer | undefined {
    if (this.#lastConsumer && isAt(view, id, this.#lastConsumer.id)) return this.#lastConsumer;
    for (const consumer of this.#consumers) if (isAt(view, id, consumer.id)) return (this.#lastConsumer = consumer);
    return undefined;
  }
}

/** Calls `listener` with each write of another one to the stream. */
function beforeWrites(stream: Writable, listener: () => void): void {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean;
  stream.write = (...args: unknown[]) => {
    listener();
    return write(...args);
  };
}

interface ListenedConsumer {
  /** The bytes of its UUID, four in a number. */
  readonly id: readonly number[];
  readonly listener: PacketListener;
}

/** A UUID as text. */
const ID_BYTES = 36;

function wordsOf(id: string): number[] {
  const bytes = Buffer.from(id, 'latin1');
  return Array.from({ length: ID_BYTES / 4 }, (_, index) => bytes.readUInt32LE(4 * index));
}

function isAt(view: DataView, at: number, words: readonly number[]): boolean {
  for (let i = 0; i < words.length; i++) if (view.getUint32(at + 4 * i, true) !== words[i]) return false;
  return true;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Where the notification is in a message that brings a packet of a consumer; `undefined` for other messages. */
function rtpNotification(view: DataView, start: number): number | undefined {
  const message = follow(view, start);
  if (uint8(view, field(view, message, MESSAGE.dataType)) !== DATA_TYPE_NOTIFICATION) return undefined;
  const notification = follow(view, field(view, message, MESSAGE.data));
  if (uint8(view, field(view, notification, NOTIFICATION.event)) !== EVENT_CONSUMER_RTP) return undefined;
  return uint8(view, field(view, notification, NOTIFICATION.bodyType)) === BODY_CONSUMER_RTP ? notification : undefined;
}

const VECTOR_LENGTH_BYTES = 4;
/** The position of a field that was left out because it has its default, which is 0 for all of them. */
const LEFT_OUT = -1;

// FlatBuffers, as far as needed here (https://flatbuffers.dev/internals): an offset counts from its own position.
// Reading a position outside the view throws a RangeError. About twenty numbers are read for a packet, hence the
// DataView: V8 makes one instruction and a check of each.

function follow(view: DataView, at: number): number {
  return at + view.getUint32(at, true);
}

/** The position of a field of a table, or {@link LEFT_OUT}. */
function field(view: DataView, table: number, index: number): number {
  const vtable = table - view.getInt32(table, true);
  const entry = 4 + 2 * index;
  const offset = entry < view.getUint16(vtable, true) ? view.getUint16(vtable + entry, true) : 0;
  return offset === 0 ? LEFT_OUT : table + offset;
}

/** Where the bytes of a vector or a string begin. */
function vector(view: DataView, table: number, index: number): number {
  return follow(view, field(view, table, index)) + VECTOR_LENGTH_BYTES;
}

/** The number of bytes of a vector or a string. */
function lengthOf(view: DataView, vector: number): number {
  return view.getUint32(vector - VECTOR_LENGTH_BYTES, true);
}

function uint8(view: DataView, at: number): number {
  return at === LEFT_OUT ? 0 : view.getUint8(at);
}
