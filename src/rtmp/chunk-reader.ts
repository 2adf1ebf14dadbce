import { DEFAULT_CHUNK_SIZE, EXTENDED_TIMESTAMP, MESSAGE } from './message.ts';
import type { RtmpMessage } from './message.ts';
import { RtmpError, type RtmpPeer } from './rtmp-error.ts';

/** Bytes of the message header by chunk type (RTMP 1.0, 5.3.1.2). */
const MESSAGE_HEADER_SIZE = [11, 7, 3, 0] as const;
/** Three bytes of basic header, eleven of message header, four of timestamp. */
const MAX_HEADER = 18;
/** Most bytes of all unfinished messages. What servers send to a publisher is a few hundred bytes. */
const DEFAULT_MAX_PENDING = 1 << 20;
/** Most chunk streams. Servers use a handful; each one costs memory. */
const MAX_CHUNK_STREAMS = 64;

interface ChunkStream {
  timestamp: number;
  /** Whether the last header that had a timestamp field had an extended timestamp, which type 3 chunks repeat. */
  delta: number;
  extended: boolean;
  length: number;
  type: number;
  streamId: number;
  /** The unfinished message, and the number of its bytes that have arrived. */
  payload: Buffer | undefined;
  received: number;
}

/**
 * Assembles messages from chunks (RTMP 1.0, 5.3). Bytes may arrive in pieces of any size. Changes of the chunk size and
 * aborted messages are handled here, because they affect the very next byte.
 */
export class ChunkReader {
  readonly #onMessage: (message: RtmpMessage) => void;
  readonly #maxPending: number;
  readonly #peer: RtmpPeer;
  readonly #streams = new Map<number, ChunkStream>();
  readonly #header = Buffer.allocUnsafe(MAX_HEADER);
  #headerLength = 0;
  #chunkSize = DEFAULT_CHUNK_SIZE;
  /** Announced bytes of all unfinished messages. */
  #pending = 0;
  /** The stream whose chunk is being read; `undefined` while a header is being read. */
  #current: ChunkStream | undefined;
  /** Bytes that are missing from the current chunk. */
  #chunkLeft = 0;

  /** @param peer who sends, for error messages */
  constructor(onMessage: (message: RtmpMessage) => void, maxPending = DEFAULT_MAX_PENDING, peer: RtmpPeer = 'server') {
    this.#onMessage = onMessage;
    this.#maxPending = maxPending;
    this.#peer = peer;
  }

  /** @throws {RtmpError} protocol; the reader must not be used afterwards */
  push(data: Buffer): void {
    let position = 0;
    while (position < data.length) {
      position = this.#current ? this.#readPayload(data, position, this.#current) : this.#readHeader(data, position);
    }
  }

  #readHeader(data: Buffer, start: number): number {
    let position = start;
    while (position < data.length) {
      this.#header[this.#headerLength++] = data[position++]!;
      if (this.#headerLength === this.#headerSize()) {
        this.#startChunk();
        return position;
      }
    }
    return position;
  }

  /**
   * The length of the header as far as it is known from the bytes that have arrived. It grows when they announce
   * further fields.
   */
  #headerSize(): number {
    const basic = this.#basicSize();
    if (this.#headerLength < basic) return basic;
    const format = this.#header[0]! >> 6;
    const size = basic + MESSAGE_HEADER_SIZE[format]!;
    if (this.#headerLength < size) return size;
    const extended =
      format === 3
        ? this.#streams.get(this.#chunkStreamId())?.extended
        : this.#header.readUIntBE(basic, 3) === EXTENDED_TIMESTAMP;
    return extended ? size + 4 : size;
  }

  #basicSize(): number {
    const id = this.#header[0]! & 0x3f;
    return id === 0 ? 2 : id === 1 ? 3 : 1;
  }

  #chunkStreamId(): number {
    const id = this.#header[0]! & 0x3f;
    if (id === 0) return this.#header[1]! + 64;
    if (id === 1) return this.#header[1]! + this.#header[2]! * 256 + 64;
    return id;
  }

  #startChunk(): void {
    const format = this.#header[0]! >> 6;
    const stream = this.#chunkStream(format);
    if (format < 3) this.#takeMessageHeader(stream, format);
    this.#headerLength = 0;
    if (!stream.payload) this.#startMessage(stream, format);
    this.#current = stream;
    this.#chunkLeft = Math.min(this.#chunkSize, stream.length - stream.received);
    if (this.#chunkLeft === 0) this.#endChunk(stream);
  }

  #chunkStream(format: number): ChunkStream {
    const id = this.#chunkStreamId();
    const known = this.#streams.get(id);
    if (known) return known;
    if (format !== 0) throw this.#violation('continued a chunk stream that it had not started');
    if (this.#streams.size >= MAX_CHUNK_STREAMS) throw this.#violation('used too many chunk streams');
    const stream: ChunkStream = {
      timestamp: 0,
      delta: 0,
      extended: false,
      length: 0,
      type: 0,
      streamId: 0,
      payload: undefined,
      received: 0,
    };
    this.#streams.set(id, stream);
    return stream;
  }

  #takeMessageHeader(stream: ChunkStream, format: number): void {
    if (stream.payload) throw this.#violation('started a message inside another one');
    const at = this.#basicSize();
    const time = this.#header.readUIntBE(at, 3);
    stream.extended = time === EXTENDED_TIMESTAMP;
    stream.delta = stream.extended ? this.#header.readUInt32BE(at + MESSAGE_HEADER_SIZE[format]!) : time;
    if (format === 2) return;
    stream.length = this.#header.readUIntBE(at + 3, 3);
    stream.type = this.#header[at + 6]!;
    if (format === 0) stream.streamId = this.#header.readUInt32LE(at + 7);
  }

  #startMessage(stream: ChunkStream, format: number): void {
    if (this.#pending + stream.length > this.#maxPending) throw this.#violation('sent messages that are too long');
    this.#pending += stream.length;
    stream.timestamp = format === 0 ? stream.delta : (stream.timestamp + stream.delta) >>> 0;
    stream.payload = Buffer.allocUnsafe(stream.length);
    stream.received = 0;
  }

  #readPayload(data: Buffer, position: number, stream: ChunkStream): number {
    const end = Math.min(data.length, position + this.#chunkLeft);
    data.copy(stream.payload!, stream.received, position, end);
    stream.received += end - position;
    this.#chunkLeft -= end - position;
    if (this.#chunkLeft === 0) this.#endChunk(stream);
    return end;
  }

  #endChunk(stream: ChunkStream): void {
    this.#current = undefined;
    if (stream.received < stream.length) return;
    const payload = stream.payload!;
    this.#forget(stream);
    if (stream.type === MESSAGE.setChunkSize) this.#setChunkSize(payload);
    else if (stream.type === MESSAGE.abort) this.#abort(payload);
    else this.#onMessage({ type: stream.type, streamId: stream.streamId, timestamp: stream.timestamp, payload });
  }

  #forget(stream: ChunkStream): void {
    if (stream.payload) this.#pending -= stream.length;
    stream.payload = undefined;
  }

  #setChunkSize(payload: Buffer): void {
    const size = payload.length < 4 ? 0 : payload.readUInt32BE();
    // The first bit must be zero (RTMP 1.0, 5.4.1); sizes above the maximum message length mean the same as the
    // maximum.
    if (size < 1 || size > 0x7fffffff) throw this.#violation('set an invalid chunk size');
    this.#chunkSize = size;
  }

  #violation(what: string): RtmpError {
    return new RtmpError('protocol', `The ${this.#peer} ${what}`);
  }

  #abort(payload: Buffer): void {
    const stream = payload.length < 4 ? undefined : this.#streams.get(payload.readUInt32BE());
    if (stream) this.#forget(stream);
  }
}
