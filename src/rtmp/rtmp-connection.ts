import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { atEndOfTick } from '../runtime/tick.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { Amf0Error, decodeAmf0, encodeAmf0 } from '../media/amf0.ts';
import type { Amf0Value } from '../media/amf0.ts';
import { ChunkReader } from './chunk-reader.ts';
import { ChunkWriter } from './chunk-writer.ts';
import { createC0C1, HandshakeReader } from './handshake.ts';
import type { MediaChunks } from './media-chunks.ts';
import { CHUNK_STREAM, MESSAGE, uint32, USER_CONTROL } from './message.ts';
import type { RtmpMessage } from './message.ts';
import { RtmpError } from './rtmp-error.ts';

/** A command of the server's: `_result`, `_error`, `onStatus` and so on. */
export interface RtmpCommand {
  readonly name: string;
  /** The number of the command that is answered; 0: none. */
  readonly transaction: number;
  /** What follows the transaction number. */
  readonly values: readonly Amf0Value[];
}

interface RtmpConnectionEvents {
  /** The server says something, be it an answer that somebody waits for. In order, and before whoever waited goes on. */
  command: [RtmpCommand];
  /** All that was handed over has left for the kernel, after `full` was true. */
  drain: [];
  /** The peer has said how much it has received. */
  acknowledged: [];
  /** The connection is over, and not by `end()`. At most once, and the last event. */
  lost: [RtmpError];
}

interface Wait {
  readonly what: string;
  readonly timer: NodeJS.Timeout;
  readonly accepts: (command: RtmpCommand) => boolean;
  readonly resolve: (command: RtmpCommand) => void;
  readonly reject: (error: RtmpError) => void;
}

/**
 * How often the peer shall acknowledge, in bytes. Servers propose megabytes, which at the bitrates of speech is minutes; this is half a second
 * of 720p and 8 s of 128 kbit/s, and costs a server 16 bytes each time.
 */
const ACKNOWLEDGEMENT_WINDOW = 128 * 1024;
/** What a server may say beyond what it is told: to a publisher it has nothing to say but answers, so more is an attack. */
const MAX_UNASKED = 1 << 20;
/** How long a farewell may take before the connection is cut, in ms. */
const END_TIMEOUT = 1000;
/** Stands for the server's half of the handshake, so that it is waited for like an answer. */
const HANDSHAKE: RtmpCommand = { name: '', transaction: 0, values: [] };

/** One RTMP connection, from the handshake on: messages, control messages and commands with their answers. */
export class RtmpConnection extends EventEmitter<RtmpConnectionEvents> {
  readonly acknowledgements = new Acknowledgements();
  readonly #socket: Duplex;
  readonly #reader = new ChunkReader((message) => this.#take(message));
  readonly #writer = new ChunkWriter();
  readonly #waits = new Set<Wait>();
  readonly #closed: Promise<void>;
  #handshake: HandshakeReader | undefined = new HandshakeReader();
  #transactions = 0;
  /** Why it is over. */
  #end: RtmpError | undefined;
  #corked = false;
  #sent = 0;
  #received = 0;
  #receivedAcknowledged = 0;
  /** The server's window: how many bytes we may take before we acknowledge. */
  #receiveWindow = Infinity;
  #announcedWindow = Infinity;

  private constructor(socket: Duplex) {
    super();
    this.#socket = socket;
    this.#closed = new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
    socket.on('drain', () => this.emit('drain'));
    socket.on('data', (data) => this.#receive(data as Buffer));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      this.#fail(new RtmpError('lost', `The connection broke (${error.code ?? 'unknown'})`)),
    );
    socket.once('close', () => this.#fail(new RtmpError('lost', 'The server closed the connection')));
  }

  /**
   * Takes a connected socket and shakes hands. The signal cuts the connection whenever it comes.
   * @param timeoutMs for the handshake as a whole, however slowly its bytes drip.
   * @throws {RtmpError} timeout, lost, protocol or aborted.
   */
  static async open(socket: Duplex, timeoutMs: number, signal: AbortSignal): Promise<RtmpConnection> {
    const connection = new RtmpConnection(socket);
    const abort = (): void => connection.#fail(new RtmpError('aborted', 'The attempt was given up'));
    signal.addEventListener('abort', abort, { once: true });
    const done = connection.#wait('the handshake', timeoutMs, (command) => command === HANDSHAKE);
    connection.#write(createC0C1());
    if (signal.aborted) abort();
    if (socket.destroyed) connection.#fail(new RtmpError('lost', 'The server closed the connection'));
    await done;
    return connection;
  }

  /** Bytes handed over, with headers and handshake: what the peer counts in its acknowledgements. */
  get sent(): number {
    return this.#sent;
  }

  /** Why it is over; `undefined` while it is not. Whoever has waited looks at it before he goes on: `lost` may have been said meanwhile. */
  get endedBy(): RtmpError | undefined {
    return this.#end;
  }

  /** Bytes that have not left for the kernel. */
  get queued(): number {
    return this.#socket.writableLength;
  }

  /** More has been handed over than the socket's own buffer is meant for, 64 KiB; `drain` follows. What goes out with this turn counts. */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Bytes in a chunk of ours. */
  get chunkSize(): number {
    return this.#writer.chunkSize;
  }

  /** Tells the peer our chunk size and how often it shall acknowledge. */
  setUp(chunkSize: number): void {
    this.#announceWindow();
    this.#send(CHUNK_STREAM.control, MESSAGE.setChunkSize, 0, 0, uint32(chunkSize));
    this.#writer.chunkSize = chunkSize;
  }

  /**
   * Sends a command and waits for its `_result` or `_error`, or for what else `answers` to it.
   * @throws {RtmpError} timeout, lost, protocol or aborted; a refusal is an answer.
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
    return this.#wait(name, timeoutMs, (command) => isAnswer(command) || answers?.(command) === true);
  }

  /** Sends a command whose answer does not matter. Returns its transaction number. */
  tell(streamId: number, name: string, ...values: readonly Amf0Value[]): number {
    const transaction = ++this.#transactions;
    this.#send(CHUNK_STREAM.command, MESSAGE.command, streamId, 0, encodeAmf0(name, transaction, ...values));
    return transaction;
  }

  /** Sends media. A single piece goes to the kernel at once. */
  sendMedia({ pieces, bytes }: MediaChunks): void {
    if (this.#end) return;
    if (pieces.length > 1) this.#cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#sent += bytes;
  }

  /** Lets go of the connection after what has been handed over, or after a grace time. To be called when nobody waits for an answer. */
  async end(): Promise<void> {
    this.#end ??= new RtmpError('aborted', 'The attempt was given up');
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), END_TIMEOUT);
    await this.#closed;
    clearTimeout(timer);
  }

  /** Cuts the connection. Whoever waits for an answer, or `lost`, is told `reason`. */
  abort(reason: RtmpError): void {
    this.#fail(reason);
  }

  #wait(what: string, timeoutMs: number, accepts: (command: RtmpCommand) => boolean): Promise<RtmpCommand> {
    return new Promise((resolve, reject) => {
      const late = (): void =>
        this.#fail(new RtmpError('timeout', `The server did not answer ${what} within ${timeoutMs / 1000} s`));
      this.#waits.add({ what, timer: setTimeout(late, timeoutMs), accepts, resolve, reject });
      if (this.#end) this.#endWaits(this.#end);
    });
  }

  #endWaits(error: RtmpError): void {
    for (const { what, timer, reject } of this.#waits) {
      clearTimeout(timer);
      reject(error.code === 'lost' ? new RtmpError('lost', `${error.message} before it answered ${what}`) : error);
    }
    this.#waits.clear();
  }

  /** Gives a command to whoever waits for it, and tells it to all. */
  #deliver(command: RtmpCommand): void {
    for (const wait of this.#waits) {
      if (!wait.accepts(command)) continue;
      this.#waits.delete(wait);
      clearTimeout(wait.timer);
      wait.resolve(command);
      break;
    }
    if (command !== HANDSHAKE) this.emit('command', command);
  }

  #fail(error: RtmpError): void {
    if (this.#end) return;
    this.#end = error;
    this.#socket.destroy();
    this.#endWaits(error);
    this.emit('lost', error);
  }

  #receive(data: Buffer): void {
    if (this.#end) return;
    this.#received += data.length;
    try {
      if (this.#received > this.#sent + MAX_UNASKED) throw new RtmpError('protocol', 'The server sends without end');
      const chunks = this.#handshake ? this.#shakeHands(this.#handshake, data) : data;
      this.#reader.push(chunks);
      this.#acknowledge();
    } catch (error) {
      this.#fail(asRtmpError(error));
    }
  }

  #shakeHands(handshake: HandshakeReader, data: Buffer): Buffer {
    const rest = handshake.push(data);
    const c2 = handshake.takeC2();
    if (c2) this.#write(c2);
    if (handshake.complete) {
      this.#handshake = undefined;
      this.#deliver(HANDSHAKE);
    }
    return rest;
  }

  #take(message: RtmpMessage): void {
    // What came in the same packet after the message that ended it all.
    if (this.#end) return;
    const { type, payload } = message;
    if (type === MESSAGE.command) this.#takeCommand(payload);
    // Commands "in AMF3" are AMF0 after a zero byte, unless they switch to AMF3 in the middle, which the decoder refuses.
    else if (type === MESSAGE.commandAmf3) this.#takeCommand(payload.subarray(1));
    else if (type === MESSAGE.acknowledgement && payload.length >= 4) {
      this.acknowledgements.take(payload.readUInt32BE(), this.#sent);
      this.emit('acknowledged');
    } else if (type === MESSAGE.windowAcknowledgementSize && payload.length >= 4) {
      this.#receiveWindow = payload.readUInt32BE();
    } else if (type === MESSAGE.setPeerBandwidth && payload.length >= 4) {
      // It is to be answered with our window (RTMP 1.0, 5.4.5), which stays below the one asked for.
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

  #takeCommand(payload: Buffer): void {
    const [name, transaction, ...values] = decodeAmf0(payload);
    if (typeof name !== 'string') throw new RtmpError('protocol', 'The server sends a command without a name');
    this.#deliver({ name, transaction: typeof transaction === 'number' ? transaction : 0, values });
  }

  /** Tells the server what we have received, whenever its window is full (RTMP 1.0, 5.4.3). */
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

  /** Not to a server that does not read: it could have us queue without end. */
  #reply(type: number, payload: Buffer): void {
    if (!this.full) this.#send(CHUNK_STREAM.control, type, 0, 0, payload);
  }

  #send(chunkStreamId: number, type: number, streamId: number, timestamp: number, payload: Buffer): void {
    if (this.#end) return;
    this.#cork();
    this.#sent += this.#writer.write(this.#socket, chunkStreamId, type, streamId, timestamp, payload);
  }

  #write(bytes: Buffer): void {
    if (this.#end) return;
    this.#cork();
    this.#sent += bytes.length;
    this.#socket.write(bytes);
  }

  /** Everything that is written within one turn of the event loop goes out in one system call. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#socket.cork();
    atEndOfTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#corked = false;
    this.#socket.uncork();
  };
}

function asRtmpError(error: unknown): RtmpError {
  if (error instanceof RtmpError) return error;
  if (error instanceof Amf0Error)
    return new RtmpError('protocol', `The server sends a malformed command: ${error.message}`);
  return new RtmpError('protocol', 'The server sends something that cannot be understood');
}
