import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Readable } from 'node:stream';
import type { Pacer } from './pacer.ts';
import { readDirectly } from './pipe.ts';

/** An RTP packet: a view of what was read from the worker, which nobody else writes to. */
export type PacketListener = (packet: Buffer) => void;

/** The pipe on which a mediasoup worker speaks to us (the fifth of its `stdio`). */
const FROM_WORKER = 4;
/** Each message follows its length, a 32-bit number; little-endian, as are all machines that a worker is built for. */
const LENGTH_BYTES = 4;

/** The marker bit of an RTP packet, in its second byte (RFC 3550, 5.1). */
const MARKER = 0x80;

// Of mediasoup's FlatBuffers schema (worker/fbs/message.fbs, notification.fbs, consumer.fbs). A test holds them against the real worker;
// where they do not fit, packets take the way that mediasoup has for them.
const MESSAGE = { dataType: 0, data: 1 } as const;
const NOTIFICATION = { handlerId: 0, event: 1, bodyType: 2, body: 3 } as const;
const RTP_NOTIFICATION = { data: 0 } as const;
const DATA_TYPE_NOTIFICATION = 3;
const EVENT_CONSUMER_RTP = 21;
const BODY_CONSUMER_RTP = 17;

/**
 * Reads the RTP packets out of what a mediasoup worker says, and leaves the rest to mediasoup. Its own way costs a packet two copies, a turn
 * of the event loop, a text decoder and three event emitters; together more than everything that is done with the packet afterwards.
 */
export class WorkerChannel {
  readonly #consumers = new Set<ListenedConsumer>();
  /** The one whose packet was the last: the next packet is likely to be of the same frame. */
  #lastConsumer: ListenedConsumer | undefined;
  readonly #forward: (message: Buffer) => void;
  readonly #pacer: Pacer;
  /** The beginning of a message whose end has not been read yet. */
  #partial: Buffer | undefined;
  /** In what is being read. */
  #packets = 0;
  #frames = 0;
  /** The last frame is not complete yet. */
  #partialFrame = false;

  constructor(pipe: Readable, pacer: Pacer) {
    this.#pacer = pacer;
    const readers = pipe.listeners('data') as ((data: Buffer) => void)[];
    for (const reader of readers) pipe.off('data', reader);
    this.#forward = (message) => readers.forEach((reader) => reader(message));
    const read = (data: Buffer): void => this.#read(data);
    pipe.on('data', read);
    readDirectly(pipe, read);
  }

  /**
   * Starts a worker and takes hold of its pipe, which mediasoup does not give away; Node tells of each child process that is started.
   *
   * @param spawn starts the child process before its first `await`
   */
  static async capture<Worker>(
    spawn: () => Promise<Worker>,
    pacer: Pacer,
  ): Promise<{ worker: Worker; channel: WorkerChannel | undefined }> {
    let child: ChildProcess | undefined;
    const onSpawn = (message: unknown): void => void (child = (message as { process: ChildProcess }).process);
    subscribe('child_process', onSpawn);
    const spawning = spawn();
    unsubscribe('child_process', onSpawn);
    const worker = await spawning;
    const pipe = child?.stdio[FROM_WORKER] as Readable | null | undefined;
    return { worker, channel: pipe ? new WorkerChannel(pipe, pacer) : undefined };
  }

  /** Gives the packets of a consumer to `listener` instead of the consumer's own `rtp` event. Returns how to stop. */
  listen(consumerId: string, kind: 'audio' | 'video', listener: PacketListener): () => void {
    const consumer: ListenedConsumer = { id: wordsOf(consumerId), kind, listener };
    this.#consumers.add(consumer);
    return () => {
      if (this.#lastConsumer === consumer) this.#lastConsumer = undefined;
      this.#consumers.delete(consumer);
    };
  }

  #read(data: Buffer): void {
    this.#packets = 0;
    this.#frames = 0;
    const rest = this.#partial ? this.#complete(this.#partial, data) : data;
    const view = viewOf(rest);
    let start = 0;
    while (rest.length - start >= LENGTH_BYTES) {
      const end = start + LENGTH_BYTES + view.getUint32(start, true);
      if (end > rest.length) break;
      this.#take(rest, view, start, end);
      start = end;
    }
    this.#partial = start < rest.length ? rest.subarray(start) : undefined;
    if (this.#packets > 0) this.#pacer.took(this.#packets, this.#frames, this.#partialFrame);
  }

  /** Takes a message that has come in two parts, and returns what follows it; no more is copied than the message. */
  #complete(partial: Buffer, data: Buffer): Buffer {
    const length = partial.length < LENGTH_BYTES ? Infinity : LENGTH_BYTES + partial.readUInt32LE(0);
    const missing = length - partial.length;
    if (missing > data.length) return Buffer.concat([partial, data]);
    const message = Buffer.concat([partial, data.subarray(0, missing)], length);
    this.#take(message, viewOf(message), 0, length);
    return data.subarray(missing);
  }

  #take(bytes: Buffer, view: DataView, start: number, end: number): void {
    const notification = rtpNotification(view, start + LENGTH_BYTES);
    const consumer =
      notification === undefined
        ? undefined
        : this.#consumerOf(view, vector(view, notification, NOTIFICATION.handlerId));
    if (!consumer) return this.#forward(bytes.subarray(start, end));
    const body = follow(view, field(view, notification!, NOTIFICATION.body));
    const data = vector(view, body, RTP_NOTIFICATION.data);
    const packet = bytes.subarray(data, data + lengthOf(view, data));
    this.#packets++;
    if (consumer.kind === 'video') {
      // All codecs set it on the last packet of a frame (RFC 6184, 5.1, and the others).
      this.#partialFrame = (packet[1]! & MARKER) === 0;
      if (!this.#partialFrame) this.#frames++;
    }
    consumer.listener(packet);
  }

  /** Compares bytes: to make a string of the UUID takes longer than to look at a hundred of them. */
  #consumerOf(view: DataView, id: number): ListenedConsumer | undefined {
    if (this.#lastConsumer && isAt(view, id, this.#lastConsumer.id)) return this.#lastConsumer;
    for (const consumer of this.#consumers) if (isAt(view, id, consumer.id)) return (this.#lastConsumer = consumer);
    return undefined;
  }
}

interface ListenedConsumer {
  /** The bytes of its UUID, four in a number. */
  readonly id: readonly number[];
  readonly kind: 'audio' | 'video';
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

/** Where the notification stands in a message that brings a packet of a consumer; `undefined` for other messages, and for any that is not laid out like this. */
function rtpNotification(view: DataView, start: number): number | undefined {
  try {
    const message = follow(view, start);
    if (uint8(view, field(view, message, MESSAGE.dataType)) !== DATA_TYPE_NOTIFICATION) return undefined;
    const notification = follow(view, field(view, message, MESSAGE.data));
    if (uint8(view, field(view, notification, NOTIFICATION.event)) !== EVENT_CONSUMER_RTP) return undefined;
    return uint8(view, field(view, notification, NOTIFICATION.bodyType)) === BODY_CONSUMER_RTP
      ? notification
      : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined; // it points outside
    throw error;
  }
}

const VECTOR_LENGTH_BYTES = 4;
/** Where a field would stand that was left out because it has its default: all of them are 0. */
const LEFT_OUT = -1;

// FlatBuffers, as far as it is needed here (https://flatbuffers.dev/internals): offsets count from where they stand. Some twenty numbers are read for a packet, which
// is why it is a DataView: V8 makes one instruction of each, and a check.

function follow(view: DataView, at: number): number {
  return at + view.getUint32(at, true);
}

/** Where a field of a table stands, or {@link LEFT_OUT}. */
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

/** How many bytes a vector or a string has. */
function lengthOf(view: DataView, vector: number): number {
  return view.getUint32(vector - VECTOR_LENGTH_BYTES, true);
}

function uint8(view: DataView, at: number): number {
  return at === LEFT_OUT ? 0 : view.getUint8(at);
}
