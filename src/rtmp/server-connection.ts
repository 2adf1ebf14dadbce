import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Amf0Error, decodeAmf0, encodeAmf0, type Amf0Value } from '../media/amf0.ts';
import { ChunkReader } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { createHello, HandshakeReader } from './handshake.ts';
import { CHUNK_STREAM, MESSAGE, uint32, USER_CONTROL, type RtmpMessage } from './message.ts';
import { RtmpError } from './rtmp-error.ts';
import { decodeSharedObject, encodeSharedObject, type SharedObjectMessage } from './shared-object-message.ts';
import { TickCork } from './tick-cork.ts';
import { guarded } from '../runtime/in-background.ts';

export interface ClientCommand {
  readonly name: string;
  /** 0: the client expects no answer. */
  readonly transaction: number;
  readonly streamId: number;
  /** The values after the transaction number, the command object included. */
  readonly values: readonly Amf0Value[];
}

interface ServerConnectionEvents {
  /** A message of any kind, before the event that says what it is. */
  message: [];
  command: [ClientCommand];
  sharedObject: [SharedObjectMessage];
  /** Audio, video or metadata. */
  media: [];
  /** At most once, and the last event. `undefined`: ended by this side. */
  closed: [reason: RtmpError | undefined];
}

export interface ServerConnectionOptions {
  /** Bytes of all unfinished messages of the client. */
  readonly maxMessageBytes: number;
  /** Bytes that may wait for a client that does not read. */
  readonly maxQueuedBytes: number;
}

/** Bytes after which the client acknowledges, and after which this side does if the client does not ask for a number. */
const WINDOW = 1 << 20;
/** Larger chunks than the default of 128 bytes save headers. Messages are short, so chunks delay nothing. */
const CHUNK_SIZE = 4096;
/** Events of one message. Clients send one, or one for each property that was set in one frame of a Flash movie. */
const MAX_EVENTS = 256;
/** The limit of setPeerBandwidth is one that the client chooses (RTMP 1.0, 5.4.5). */
const DYNAMIC = 2;
/** The message stream of commands that concern the connection. */
const CONTROL_STREAM = 0;

/**
 * One connection of an RTMP client, from the handshake on: control messages, commands and shared objects. What the
 * client sends and what waits for it is bounded.
 */
export class RtmpServerConnection extends EventEmitter<ServerConnectionEvents> {
  readonly #socket: Duplex;
  readonly #options: ServerConnectionOptions;
  readonly #reader: ChunkReader;
  readonly #writer = new ChunkWriter();
  #handshake: HandshakeReader | undefined = new HandshakeReader('client');
  #over = false;
  readonly #cork: TickCork;
  #received = 0;
  #acknowledged = 0;
  #receiveWindow = WINDOW;
  #heardAt = performance.now();

  constructor(socket: Duplex, options: ServerConnectionOptions) {
    super();
    this.#socket = socket;
    this.#cork = new TickCork(this.#socket);
    this.#options = options;
    this.#reader = new ChunkReader((message) => this.#take(message), options.maxMessageBytes, 'client');
    const destroy = (): void => void socket.destroy();
    socket.on(
      'data',
      guarded(destroy, (data: Buffer) => this.#receive(data)),
    );
    socket.on(
      'error',
      guarded(destroy, (error: NodeJS.ErrnoException) =>
        this.#close(new RtmpError('lost', `The connection was lost (${error.code ?? 'unknown'})`)),
      ),
    );
    socket.once(
      'close',
      guarded(destroy, () => this.#close(new RtmpError('lost', 'The client closed the connection'))),
    );
  }

  /** Whether the handshake is complete. */
  get established(): boolean {
    return this.#handshake === undefined;
  }

  /** When the last complete message arrived, in milliseconds of `performance.now()`. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** What a server sends before it accepts a `connect`. */
  setUp(): void {
    this.#sendControl(MESSAGE.windowAcknowledgementSize, uint32(WINDOW));
    this.#sendControl(MESSAGE.setPeerBandwidth, Buffer.concat([uint32(WINDOW), Buffer.from([DYNAMIC])]));
    this.#sendControl(MESSAGE.setChunkSize, uint32(CHUNK_SIZE));
    this.#writer.chunkSize = CHUNK_SIZE;
    this.#sendUserControl(USER_CONTROL.streamBegin, 0);
  }

  /** The client answers, which counts as a message: see {@link heardAt}. */
  ping(): void {
    this.#sendUserControl(USER_CONTROL.pingRequest, performance.now());
  }

  /** Calls a method of the client, or answers a command (`_result`, `_error`). */
  sendCommand(streamId: number, name: string, transaction: number, ...values: readonly Amf0Value[]): void {
    this.#send(CHUNK_STREAM.command, MESSAGE.command, streamId, encodeAmf0(name, transaction, ...values));
  }

  sendSharedObject(message: SharedObjectMessage): void {
    this.#send(CHUNK_STREAM.command, MESSAGE.sharedObject, CONTROL_STREAM, encodeSharedObject(message));
  }

  /** Closes the connection when everything written has been sent, but at the latest after `graceMs`. Idempotent. */
  end(graceMs: number): void {
    if (this.#over) return;
    this.#cork.release();
    this.#socket.end();
    // What the client goes on to send is not read.
    this.#socket.pause();
    setTimeout(() => this.#socket.destroy(), graceMs).unref();
    this.#over = true;
    this.emit('closed', undefined);
  }

  /** Closes the connection at once. Idempotent. */
  abort(reason: RtmpError): void {
    this.#close(reason);
  }

  #close(reason: RtmpError): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.emit('closed', reason);
  }

  #receive(data: Buffer): void {
    if (this.#over) return;
    this.#received += data.length;
    try {
      const chunks = this.#handshake ? this.#shakeHands(this.#handshake, data) : data;
      this.#reader.push(chunks);
      this.#acknowledge();
    } catch (error) {
      this.#close(asRtmpError(error));
    }
  }

  #shakeHands(handshake: HandshakeReader, data: Buffer): Buffer {
    const rest = handshake.push(data);
    const s2 = handshake.takeEcho();
    if (s2) {
      this.#write(createHello());
      this.#write(s2);
    }
    if (handshake.complete) {
      this.#handshake = undefined;
      this.#heardAt = performance.now();
    }
    return rest;
  }

  #take(message: RtmpMessage): void {
    // Arrived in the same packet after the message that ended the connection.
    if (this.#over) return;
    this.#heardAt = performance.now();
    this.emit('message');
    if (this.#over) return;
    const { type, payload, streamId } = message;
    switch (type) {
      case MESSAGE.command:
        return this.#takeCommand(payload, streamId);
      case MESSAGE.commandAmf3:
        return this.#takeCommand(payload.subarray(1), streamId);
      case MESSAGE.sharedObject:
        return void this.emit('sharedObject', decodeSharedObject(payload, MAX_EVENTS));
      case MESSAGE.sharedObjectAmf3:
        return void this.emit('sharedObject', decodeSharedObject(payload.subarray(1), MAX_EVENTS));
      case MESSAGE.audio:
      case MESSAGE.video:
      case MESSAGE.data:
        return void this.emit('media');
      case MESSAGE.windowAcknowledgementSize:
        if (payload.length >= 4) this.#receiveWindow = Math.max(1, payload.readUInt32BE());
        return;
      case MESSAGE.userControl:
        if (payload.length >= 6 && payload.readUInt16BE() === USER_CONTROL.pingRequest)
          this.#sendUserControl(USER_CONTROL.pingResponse, payload.readUInt32BE(2));
        return;
      default:
        // Acknowledgements, and what later versions of the protocol may have.
        return;
    }
  }

  #takeCommand(payload: Buffer, streamId: number): void {
    const [name, transaction, ...values] = decodeAmf0(payload);
    if (typeof name !== 'string') throw new RtmpError('protocol', 'The client sent a command without a name');
    this.emit('command', { name, transaction: typeof transaction === 'number' ? transaction : 0, streamId, values });
  }

  #acknowledge(): void {
    if (this.#received - this.#acknowledged < this.#receiveWindow) return;
    this.#acknowledged = this.#received;
    this.#sendControl(MESSAGE.acknowledgement, uint32(this.#received % 2 ** 32));
  }

  #sendUserControl(event: number, value: number): void {
    const payload = Buffer.alloc(6);
    payload.writeUInt16BE(event);
    payload.writeUInt32BE(value >>> 0, 2);
    this.#sendControl(MESSAGE.userControl, payload);
  }

  #sendControl(type: number, payload: Buffer): void {
    this.#send(CHUNK_STREAM.control, type, CONTROL_STREAM, payload);
  }

  #send(chunkStreamId: number, type: number, streamId: number, payload: Buffer): void {
    if (this.#over) return;
    if (this.#socket.writableLength + payload.length > this.#options.maxQueuedBytes)
      return this.#close(new RtmpError('lost', 'The client does not read its messages'));
    this.#cork.hold();
    this.#writer.write(this.#socket, chunkStreamId, type, streamId, 0, payload);
  }

  #write(bytes: Buffer): void {
    if (this.#over) return;
    this.#cork.hold();
    this.#socket.write(bytes);
  }
}

function asRtmpError(error: unknown): RtmpError {
  if (error instanceof RtmpError) return error;
  if (error instanceof Amf0Error)
    return new RtmpError('protocol', `The client sent a malformed message: ${error.message}`);
  return new RtmpError('protocol', 'The client sent data that cannot be processed');
}
