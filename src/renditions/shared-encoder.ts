import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Logger } from '../observe/logger.ts';
import type { AacCoder, AacCoderEvents, AacCoderOptions } from './aac-coder.ts';

// The messages of native/opus-to-aac.c.
const HEADER_BYTES = 8;
const OPEN = 'O'.charCodeAt(0);
const PACKET = 'P'.charCodeAt(0);
const CLOSE = 'C'.charCodeAt(0);
const FRAME_HEADER_BYTES = 4;
const LINE_NUMBERS = 2 ** 16;

const FIRST_BYTES = 16_384;
/** Milliseconds that it has to end after the end of its input, before it is killed. */
const GRACE_MS = 2000;

export interface SharedEncoderOptions {
  /** The program that native/ was built into. */
  readonly program: string;
  /** When one stream's sound is as long, that of all is encoded. */
  readonly batchSamples: number;
  readonly logger: Logger;
  /** It takes no more streams: its last one has left, or it has died. */
  readonly ended: (reason: 'unused' | 'died') => void;
}

/**
 * One process that encodes the sound of several streams. It is woken once for all of them, and has libavcodec in memory once. When it
 * dies, any of them may have been the cause, so each goes on with an ffmpeg of its own (`audio-encoder.ts`).
 */
export class SharedEncoder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exited: Promise<unknown>;
  readonly #options: SharedEncoderOptions;
  readonly #lines = new Map<number, Line>();
  #nextNumber = 0;
  #ended = false;
  /** Messages that wait, in memory that is used again and again. */
  #memory = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #used = 0;
  /** The beginning of a frame whose end was not read yet. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(options: SharedEncoderOptions) {
    this.#options = options;
    const child = spawn(options.program, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(this.#died(error.message)));
      child.once('close', (code, signal) => resolve(this.#died(`it ended with ${signal ?? `code ${code}`}`)));
    });
    child.stdin.on('error', () => {}); // EPIPE: its end tells more, and it follows
    child.stdout.on('data', (data: Buffer) => this.#read(data));
    options.logger.debug({ pid: child.pid, purpose: 'shared audio encoder' }, 'audio encoder started');
  }

  /** Streams that it serves. */
  get size(): number {
    return this.#lines.size;
  }

  open({ channels, bitrate }: AacCoderOptions): AacCoder {
    while (this.#lines.has(this.#nextNumber)) this.#nextNumber = (this.#nextNumber + 1) % LINE_NUMBERS;
    const number = this.#nextNumber;
    // Not the one that was closed last: frames of it may still come.
    this.#nextNumber = (number + 1) % LINE_NUMBERS;
    const line = new Line(
      (packet, samples) => this.#encode(number, line, packet, samples),
      () => this.#child.kill('SIGKILL'),
      () => this.#close(number),
    );
    this.#lines.set(number, line);
    this.#message(OPEN, number, channels, bitrate);
    return line;
  }

  #encode(number: number, line: Line, packet: Buffer, samples: number): void {
    this.#message(PACKET, number, 0, samples, packet);
    line.waiting += samples;
    if (line.waiting >= this.#options.batchSamples) this.#flush();
  }

  #close(number: number): Promise<unknown> {
    if (!this.#lines.delete(number)) return Promise.resolve(); // it was lost
    if (this.#lines.size > 0) {
      this.#message(CLOSE, number, 0, 0);
      this.#flush();
      return Promise.resolve();
    }
    this.#ended = true;
    this.#options.ended('unused');
    this.#child.stdin.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_MS);
    return this.#exited.finally(() => clearTimeout(timer));
  }

  #message(kind: number, line: number, channels: number, value: number, bytes?: Buffer): void {
    const length = bytes?.length ?? 0;
    const start = this.#used;
    const end = start + HEADER_BYTES + length;
    if (end > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(2 * end);
      this.#memory.copy(larger, 0, 0, start);
      this.#memory = larger;
    }
    const memory = this.#memory;
    memory[start] = kind;
    memory[start + 1] = channels;
    memory.writeUInt16LE(line, start + 2);
    memory.writeUInt16LE(length, start + 4);
    memory.writeUInt16LE(value, start + 6);
    bytes?.copy(memory, start + HEADER_BYTES);
    this.#used = end;
  }

  /** All that waits, of all streams: to be woken costs more than to encode. */
  #flush(): void {
    this.#child.stdin.write(Buffer.from(this.#memory.subarray(0, this.#used)));
    this.#used = 0;
    for (const line of this.#lines.values()) line.waiting = 0;
  }

  #read(data: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, data]) : data;
    let at = 0;
    while (at + FRAME_HEADER_BYTES <= bytes.length) {
      const start = at + FRAME_HEADER_BYTES;
      const end = start + bytes.readUInt16LE(at + 2);
      if (end > bytes.length) break;
      this.#lines.get(bytes.readUInt16LE(at))?.emit('frame', bytes.subarray(start, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #died(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const lines = [...this.#lines.values()];
    this.#lines.clear();
    this.#options.logger.warn(
      { reason, streams: lines.length },
      'a shared audio encoder died; each of its streams goes on with an ffmpeg of its own',
    );
    this.#options.ended('died');
    for (const line of lines) line.lose();
  }
}

/** One stream's part of a shared encoder. */
class Line extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly encode: (packet: Buffer, samples: number) => void;
  readonly giveUp: () => void;
  readonly #close: () => Promise<unknown>;
  #closing: Promise<unknown> | undefined;
  running = true;
  /** Samples that have not been handed over yet. */
  waiting = 0;

  constructor(encode: (packet: Buffer, samples: number) => void, giveUp: () => void, close: () => Promise<unknown>) {
    super();
    this.encode = encode;
    this.giveUp = giveUp;
    this.#close = close;
  }

  async close(): Promise<void> {
    this.running = false;
    await (this.#closing ??= this.#close());
  }

  lose(): void {
    this.running = false;
    this.emit('lost');
  }
}
