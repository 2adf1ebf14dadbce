import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Acknowledgements } from './acknowledgements.ts';
import { AwaitedAnswers, type Awaited } from './awaited-answers.ts';
import { decodeAmf0Start, encodeAmf0 } from '../media/amf0.ts';
import type { Amf0Value } from '../media/amf0.ts';
import { ChunkReader } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { createHello, HandshakeReader } from './handshake.ts';
import type { MediaChunks } from './media-chunks.ts';
import { CHUNK_STREAM, MESSAGE, uint32, USER_CONTROL } from './message.ts';
import type { RtmpMessage } from './message.ts';
import { RtmpError } from './rtmp-error.ts';
import { TickCork } from './tick-cork.ts';

/** A command from the server: `_result`, `_error`, `onStatus` and so on. */
export interface RtmpCommand {
  readonly name: string;
  /** The transaction number of the command that it answers; 0: none. */
  readonly transaction: number;
  /** The message stream that it was sent on; 0: the one of the connection. */
  readonly streamId: number;
  /** The values after the transaction number. */
  readonly values: readonly Amf0Value[];
  /** Its end could not be decoded. */
  readonly incomplete?: boolean;
}

interface RtmpConnectionEvents {
  /**
   * A command from the server, answers included. In order, and before the promise of {@link RtmpConnection.call}
   * settles.
   */
  command: [RtmpCommand];
  /** Everything written has been passed to the kernel, after `full` was true. */
  drain: [];
  /** The peer has acknowledged bytes. */
  acknowledged: [];
  /** The server has sent a message that cannot be decoded, or not to its end. */
  undecodable: [why: string];
  /** The connection has ended, not by `end()`. At most once, and the last event. */
  lost: [RtmpError];
}

/**
 * After how many bytes the peer should acknowledge. Servers propose megabytes, which at audio bitrates is minutes. This
 * is half a second of 720p video and 8 s of 128 kbit/s, and costs a server 16 bytes each time.
 */
const ACKNOWLEDGEMENT_WINDOW = 128 * 1024;
/**
 * How many bytes a server may send beyond what it receives. A server sends nothing but answers to a publisher, so more
 * is an attack.
 */
const MAX_UNASKED = 1 << 20;
/** How long closing may take before the connection is destroyed, in milliseconds. */
const END_TIMEOUT = 1000;
/** Markers of AMF with which the name of a command begins: string, long string, AMF3. */
const NAME_MARKERS: ReadonlySet<number> = new Set([0x02, 0x0c, 0x11]);
/** The key under which the server's half of the handshake is awaited, like an answer. */
const HANDSHAKE: RtmpCommand = { name: '', transaction: 0, streamId: 0, values: [] };

/** One RTMP connection from the handshake on: messages, control messages, and commands with their answers. */
export class RtmpConnection extends EventEmitter<RtmpConnectionEvents> {
  readonly acknowledgements = new Acknowledgements();
  readonly #socket: Duplex;
  readonly #reader = new ChunkReader((message) => this.#take(message));
  readonly #writer = new ChunkWriter();
  readonly #answers = new AwaitedAnswers((error) => this.#fail(error));
  readonly #closed: Promise<void>;
  #handshake: HandshakeReader | undefined = new HandshakeReader();
  #transactions = 0;
  /** Why the connection has ended. */
  #end: RtmpError | undefined;
  readonly #cork: TickCork;
  #sent = 0;
  #received = 0;
  #receivedAcknowledged = 0;
  /** The server's window: the number of received bytes after which the client acknowledges. */
  #receiveWindow = Infinity;
  #announcedWindow = Infinity;

  private constructor(socket: Duplex) {
    super();
    this.#socket = socket;
    this.#cork = new TickCork(this.#socket);
    this.#closed = new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
    socket.on('drain', () => this.emit('drain'));
    socket.on('data', (data) => this.#receive(data as Buffer));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      this.#fail(new RtmpError('lost', `The connection was lost (${error.code ?? 'unknown'})`)),
    );
    socket.once('close', () => this.#fail(new RtmpError('lost', 'The server closed the connection')));
  }

  /**
   * Performs the handshake on a connected socket. The signal closes the connection at any time.
   *
   * @param timeoutMs for the whole handshake, however slowly its bytes arrive
   * @throws {RtmpError} timeout, lost, protocol or aborted
   */
  static async open(socket: Duplex, timeoutMs: number, signal: AbortSignal): Promise<RtmpConnection> {
    const connection = new RtmpConnection(socket);
    const abort = (): void => connection.#fail(new RtmpError('aborted', 'The connection attempt was cancelled'));
    signal.addEventListener('abort', abort, { once: true });
    const done = connection.#wait({ what: 'the handshake', timeoutMs, accepts: (command) => command === HANDSHAKE });
    connection.#write(createHello());
    if (signal.aborted) abort();
    if (socket.destroyed) connection.#fail(new RtmpError('lost', 'The server closed the connection'));
    await done;
    return connection;
  }

  /** Bytes written, including headers and handshake, as the peer counts them in its acknowledgements. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * Why the connection has ended; `undefined` while it is open. To be checked after each `await`, because `lost` may
   * have been emitted meanwhile.
   */
  get endedBy(): RtmpError | undefined {
    return this.#end;
  }

  /** Bytes that have not been passed to the kernel. */
  get queued(): number {
    return this.#socket.writableLength;
  }

  /**
   * More has been written than the socket should buffer, 64 KiB; `drain` follows. What is sent at the end of this tick
   * counts.
   */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Size of the chunks that are sent, in bytes. */
  get chunkSize(): number {
    return this.#writer.chunkSize;
  }

  /** Announces the chunk size, and how often the peer should acknowledge. */
  setUp(chunkSize: number): void {
    this.#announceWindow();
    this.#send(CHUNK_STREAM.control, MESSAGE.setChunkSize, 0, 0, uint32(chunkSize));
    this.#writer.chunkSize = chunkSize;
  }

  /**
   * Sends a command and waits for its `_result` or `_error`, or for another command that `answers` it.
   *
   * @throws {RtmpError} timeout, lost, protocol or aborted; a refusal is an answer
   */
  call(
    timeoutMs: number,
    streamId: number,
    name: string,
    values: readonly Amf0Value[],
    answers?: (command: RtmpCommand) => boolean,
  ): Promise<RtmpCommand> {
    const transaction = this.tell(streamId, name, ...values);
    const isAnswer = (command: RtmpCommand): boolean =>
      command.transaction === transaction && (command.name === '_error' || (command.name === '_result' && !answers));
    const accepts = (command: RtmpCommand): boolean => isAnswer(command) || answers?.(command) === true;
    return this.#wait({ what: name, timeoutMs, accepts, isStatus: answers !== undefined });
  }

  /** Sends a command without waiting for an answer. Returns its transaction number. */
  tell(streamId: number, name: string, ...values: readonly Amf0Value[]): number {
    const transaction = ++this.#transactions;
    this.#send(CHUNK_STREAM.command, MESSAGE.command, streamId, 0, encodeAmf0(name, transaction, ...values));
    return transaction;
  }

  /** Sends media. A single piece is passed to the kernel at once. */
  sendMedia({ pieces, bytes }: MediaChunks): void {
    if (this.#end) return;
    if (pieces.length > 1) this.#cork.hold();
    for (const piece of pieces) this.#socket.write(piece);
    this.#sent += bytes;
  }

  /**
   * Closes the connection when everything written has been sent, or after a grace time. Must not be called while an
   * answer is awaited.
   */
  async end(): Promise<void> {
    this.#end ??= new RtmpError('aborted', 'The connection attempt was cancelled');
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), END_TIMEOUT);
    await this.#closed;
    clearTimeout(timer);
  }

  /** Closes the connection at once. Pending answers and `lost` get `reason`. */
  abort(reason: RtmpError): void {
    this.#fail(reason);
  }

  #wait(awaited: Awaited): Promise<RtmpCommand> {
    const answer = this.#answers.wait(awaited);
    if (this.#end) this.#answers.end(this.#end);
    return answer;
  }

  /** Passes a command to the call that waits for it, and to the listeners. */
  #deliver(command: RtmpCommand): void {
    this.#answers.deliver(command);
    if (command !== HANDSHAKE) this.emit('command', command);
  }

  #fail(error: RtmpError): void {
    if (this.#end) return;
    this.#end = error;
    this.#socket.destroy();
    this.#answers.end(error);
    this.emit('lost', error);
  }

  #receive(data: Buffer): void {
    if (this.#end) return;
    this.#received += data.length;
    try {
      if (this.#received > this.#sent + MAX_UNASKED) throw new RtmpError('protocol', 'The server sent too much data');
      const chunks = this.#handshake ? this.#shakeHands(this.#handshake, data) : data;
      this.#reader.push(chunks);
      this.#acknowledge();
    } catch (error) {
      this.#fail(asRtmpError(error));
    }
  }

  #shakeHands(handshake: HandshakeReader, data: Buffer): Buffer {
    const rest = handshake.push(data);
    const c2 = handshake.takeEcho();
    if (c2) this.#write(c2);
    if (handshake.complete) {
      this.#handshake = undefined;
      this.#deliver(HANDSHAKE);
    }
    return rest;
  }

  #take(message: RtmpMessage): void {
    // Arrived in the same packet after the message that ended the connection.
    if (this.#end) return;
    const { type, payload } = message;
    if (type === MESSAGE.command) this.#takeCommand(message, payload);
    else if (type === MESSAGE.commandAmf3) this.#takeCommand(message, withoutFormat(payload));
    else if (type === MESSAGE.acknowledgement && payload.length >= 4) {
      this.acknowledgements.take(payload.readUInt32BE(), this.#sent, this.#sent - this.queued);
      this.emit('acknowledged');
    } else if (type === MESSAGE.windowAcknowledgementSize && payload.length >= 4) {
      this.#receiveWindow = payload.readUInt32BE();
    } else if (type === MESSAGE.setPeerBandwidth && payload.length >= 4) {
      // The answer is the client's window (RTMP 1.0, 5.4.5), which stays below the requested one.
      this.#announceWindow(payload.readUInt32BE());
    } else if (
      type === MESSAGE.userControl &&
      payload.length >= 6 &&
      payload.readUInt16BE() === USER_CONTROL.pingRequest
    ) {
      const pong = Buffer.from(payload.subarray(0, 6));
      pong.writeUInt16BE(USER_CONTROL.pingResponse);
      this.#reply(MESSAGE.userControl, pong);
    }
  }

  /**
   * What cannot be decoded is no reason to end a connection that works. An incomplete command counts with what it has,
   * unless it is the answer that something waits for.
   */
  #takeCommand({ streamId }: RtmpMessage, payload: Buffer): void {
    const { values: all, fault } = decodeAmf0Start(payload);
    const [name, transaction, ...values] = all;
    const command =
      typeof name === 'string'
        ? { name, transaction: typeof transaction === 'number' ? transaction : 0, streamId, values }
        : undefined;
    if (command && !fault) return this.#deliver(command);
    const why = fault?.message ?? 'a command without a name';
    this.emit('undecodable', why);
    if (!this.#answers.spoilt(command, why) && command) this.#deliver({ ...command, incomplete: true });
  }

  /** Acknowledges received bytes whenever the server's window is full (RTMP 1.0, 5.4.3). */
  #acknowledge(): void {
    if (this.#received - this.#receivedAcknowledged < this.#receiveWindow) return;
    this.#receivedAcknowledged = this.#received;
    this.#reply(MESSAGE.acknowledgement, uint32(this.#received % 2 ** 32));
  }

  #announceWindow(most = Infinity): void {
    const size = Math.min(ACKNOWLEDGEMENT_WINDOW, most, this.#announcedWindow);
    if (size === this.#announcedWindow) return;
    this.#announcedWindow = size;
    this.#reply(MESSAGE.windowAcknowledgementSize, uint32(size));
  }

  /** Not sent to a server that does not read: the queue would grow without limit. */
  #reply(type: number, payload: Buffer): void {
    if (!this.full) this.#send(CHUNK_STREAM.control, type, 0, 0, payload);
  }

  #send(chunkStreamId: number, type: number, streamId: number, timestamp: number, payload: Buffer): void {
    if (this.#end) return;
    this.#cork.hold();
    this.#sent += this.#writer.write(this.#socket, chunkStreamId, type, streamId, timestamp, payload);
  }

  #write(bytes: Buffer): void {
    if (this.#end) return;
    this.#cork.hold();
    this.#sent += bytes.length;
    this.#socket.write(bytes);
  }
}

/**
 * Commands "in AMF3" are AMF0 after a byte for the format, in which values may switch to AMF3. Some servers leave that
 * byte out.
 */
const withoutFormat = (payload: Buffer): Buffer => (NAME_MARKERS.has(payload[0] ?? 0) ? payload : payload.subarray(1));

const asRtmpError = (error: unknown): RtmpError =>
  error instanceof RtmpError ? error : new RtmpError('protocol', 'The server sent data that cannot be parsed');
