import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Readable } from 'node:stream';
import type { Pacer } from '../pacer.ts';
import { readDirectly } from '../pipe.ts';

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
  /** The one whose packet was the last: the next packet is likely to be of the same picture. */
  #lastConsumer: ListenedConsumer | undefined;
  readonly #forward: (message: Buffer) => void;
  readonly #pacer: Pacer;
  /** The beginning of a message whose end has not been read yet. */
  #partial: Buffer | undefined;
  /** In what is being read. */
  #packets = 0;
  #pictures = 0;
  /** The last picture is not complete yet. */
  #partialPicture = false;

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
  static async capture<Worker>(spawn: () => Promise<Worker>, pacer: Pacer): Promise<{ worker: Worker; channel: WorkerChannel | undefined }> {
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
    const consumer: ListenedConsumer = { id: Buffer.from(consumerId, 'latin1'), kind, listener };
    this.#consumers.add(consumer);
    return () => {
      if (this.#lastConsumer === consumer) this.#lastConsumer = undefined;
      this.#consumers.delete(consumer);
    };
  }

  #read(data: Buffer): void {
    this.#packets = 0;
    this.#pictures = 0;
    const rest = this.#partial ? this.#complete(this.#partial, data) : data;
    let start = 0;
    while (rest.length - start >= LENGTH_BYTES) {
      const end = start + LENGTH_BYTES + uint32(rest, start);
      if (end > rest.length) break;
      this.#take(rest, start, end);
      start = end;
    }
    this.#partial = start < rest.length ? rest.subarray(start) : undefined;
    if (this.#packets > 0) this.#pacer.took(this.#packets, this.#pictures, this.#partialPicture);
  }

  /** Takes a message that has come in two parts, and returns what follows it; no more is copied than the message. */
  #complete(partial: Buffer, data: Buffer): Buffer {
    const length = partial.length < LENGTH_BYTES ? Infinity : LENGTH_BYTES + uint32(partial, 0);
    const missing = length - partial.length;
    if (missing > data.length) return Buffer.concat([partial, data]);
    this.#take(Buffer.concat([partial, data.subarray(0, missing)], length), 0, length);
    return data.subarray(missing);
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const notification = rtpNotification(bytes, start + LENGTH_BYTES);
    const consumer = notification === undefined ? undefined : this.#consumerOf(bytes, vector(bytes, notification, NOTIFICATION.handlerId));
    if (!consumer) return this.#forward(bytes.subarray(start, end));
    const body = follow(bytes, field(bytes, notification!, NOTIFICATION.body));
    const data = vector(bytes, body, RTP_NOTIFICATION.data);
    const packet = bytes.subarray(data, data + lengthOf(bytes, data));
    this.#packets++;
    if (consumer.kind === 'video') {
      // All codecs set it on the last packet of a picture (RFC 6184, 5.1, and the others).
      this.#partialPicture = (packet[1]! & MARKER) === 0;
      if (!this.#partialPicture) this.#pictures++;
    }
    consumer.listener(packet);
  }

  /** Compares bytes: to make a string of the UUID takes longer than to look at a hundred of them. */
  #consumerOf(bytes: Buffer, id: number): ListenedConsumer | undefined {
    if (this.#lastConsumer && startsWith(bytes, id, this.#lastConsumer.id)) return this.#lastConsumer;
    for (const consumer of this.#consumers) if (startsWith(bytes, id, consumer.id)) return (this.#lastConsumer = consumer);
    return undefined;
  }
}

interface ListenedConsumer {
  /** The bytes of its UUID. */
  readonly id: Buffer;
  readonly kind: 'audio' | 'video';
  readonly listener: PacketListener;
}

function startsWith(bytes: Buffer, at: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** Where the notification stands in a message that brings a packet of a consumer; `undefined` for other messages. */
function rtpNotification(bytes: Buffer, start: number): number | undefined {
  const message = follow(bytes, start);
  if (bytes[field(bytes, message, MESSAGE.dataType)] !== DATA_TYPE_NOTIFICATION) return undefined;
  const notification = follow(bytes, field(bytes, message, MESSAGE.data));
  if (bytes[field(bytes, notification, NOTIFICATION.event)] !== EVENT_CONSUMER_RTP) return undefined;
  return bytes[field(bytes, notification, NOTIFICATION.bodyType)] === BODY_CONSUMER_RTP ? notification : undefined;
}

const VECTOR_LENGTH_BYTES = 4;

// FlatBuffers, as far as it is needed here (https://flatbuffers.dev/internals): offsets count from where they stand.

function follow(bytes: Buffer, at: number): number {
  return at + uint32(bytes, at);
}

/** Where a field of a table stands; -1, where no byte is, for one that was left out. */
function field(bytes: Buffer, table: number, index: number): number {
  const vtable = table - (uint32(bytes, table) | 0); // the only offset that has a sign
  const entry = 4 + 2 * index;
  const offset = entry < uint16(bytes, vtable) ? uint16(bytes, vtable + entry) : 0;
  return offset === 0 ? -1 : table + offset;
}

/** Where the bytes of a vector or a string begin. */
function vector(bytes: Buffer, table: number, index: number): number {
  return follow(bytes, field(bytes, table, index)) + VECTOR_LENGTH_BYTES;
}

/** How many bytes a vector or a string has. */
function lengthOf(bytes: Buffer, vector: number): number {
  return uint32(bytes, vector - VECTOR_LENGTH_BYTES);
}

// Some twenty of these for a packet: the methods of Buffer, which check what they are given, cost several times as much.

function uint32(bytes: Buffer, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function uint16(bytes: Buffer, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}
