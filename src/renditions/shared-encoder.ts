import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { Logger } from '../observe/logger.ts';
import type { AacCoder, AacCoderEvents, AacCoderOptions } from './aac-coder.ts';
import { OutputWatch } from './output-watch.ts';
import { inBackground } from '../runtime/in-background.ts';

// The messages of native/opus-to-aac.c.
const HEADER_BYTES = 8;
const OPEN = 'O'.charCodeAt(0);
const PACKET = 'P'.charCodeAt(0);
const CLOSE = 'C'.charCodeAt(0);
const HEARTBEAT = 'H'.charCodeAt(0);
const FRAME_HEADER_BYTES = 4;
/**
 * Lengths that no frame has: the answer to a heartbeat, and the last message of a process that dies while it works on a
 * line.
 */
const HEARTBEAT_ANSWER = 0;
const DYING = 0xffff;
const LINE_NUMBERS = 2 ** 16;

const FIRST_BYTES = 16_384;
/** Milliseconds from the end of its input to SIGKILL. */
const GRACE_MS = 2000;
/** Milliseconds from SIGABRT, on which it names the line that it works on, to SIGKILL. */
const LAST_WORDS_MS = 200;

export interface SharedEncoderOptions {
  /** The program built from native/. */
  readonly program: string;
  /** When one stream has collected this much audio, that of all streams is encoded. */
  readonly batchSamples: number;
  readonly logger: Logger;
  /** The wall clock, in milliseconds. */
  readonly now: () => number;
  /** It takes no more streams: its last one has left, or it has died. */
  readonly ended: (reason: 'unused' | 'died') => void;
}

/**
 * One process that encodes the audio of several streams. It is woken once for all of them, and has libavcodec in memory
 * once. It answers a heartbeat that follows its input; a process that does not answer for seconds is killed. When it
 * dies while it works on a stream's packets, it names the stream, which goes on with an ffmpeg of its own
 * (`audio-encoder.ts`); the others share the next process.
 */
export class SharedEncoder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exited: Promise<unknown>;
  readonly #options: SharedEncoderOptions;
  readonly #lines = new Map<number, Line>();
  readonly #watch = new OutputWatch();
  #isHeartbeatDue = true;
  #hangs = false;
  /** The line that the process worked on when it died. */
  #cause: number | undefined;
  #nextNumber = 0;
  #ended = false;
  /** Messages that wait, in memory that is reused. */
  #memory = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #used = 0;
  /** The beginning of a frame whose end has not been read yet. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(options: SharedEncoderOptions) {
    this.#options = options;
    const child = spawn(options.program, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(this.#died(error.message)));
      child.once('close', (code, signal) =>
        resolve(this.#died(this.#hangs ? 'it did not answer' : `it ended with ${signal ?? `code ${code}`}`)),
      );
    });
    child.stdin.on('error', () => {}); // EPIPE: the process has ended, and `close` says why
    child.stdout.on('data', (data: Buffer) => this.#read(data));
    options.logger.debug({ pid: child.pid, purpose: 'shared audio encoder' }, 'audio encoder started');
  }

  /** Number of streams that it serves. */
  get size(): number {
    return this.#lines.size;
  }

  open({ channels, bitrate }: AacCoderOptions): AacCoder {
    while (this.#lines.has(this.#nextNumber)) this.#nextNumber = (this.#nextNumber + 1) % LINE_NUMBERS;
    const number = this.#nextNumber;
    // The number that was closed last is not reused at once: frames of it may still come.
    this.#nextNumber = (number + 1) % LINE_NUMBERS;
    const line = new Line(
      (packet, samples) => this.#encode(number, line, packet, samples),
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
    if (!this.#lines.delete(number)) return Promise.resolve(); // the process has died
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

  /** Writes what waits of all streams: waking the process costs more than encoding. */
  #flush(): void {
    if (this.#isHeartbeatDue) {
      this.#message(HEARTBEAT, 0, 0, 0);
      this.#isHeartbeatDue = false;
    }
    this.#child.stdin.write(Buffer.from(this.#memory.subarray(0, this.#used)));
    this.#used = 0;
    for (const line of this.#lines.values()) line.waiting = 0;
    const now = this.#options.now();
    if (this.#watch.fed(now, now)) this.#abort();
  }

  #abort(): void {
    if (this.#hangs) return;
    this.#hangs = true;
    this.#child.kill('SIGABRT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), LAST_WORDS_MS);
    inBackground(this.#exited.then(() => clearTimeout(timer)));
  }

  #read(data: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, data]) : data;
    let at = 0;
    while (at + FRAME_HEADER_BYTES <= bytes.length) {
      const line = bytes.readUInt16LE(at);
      const length = bytes.readUInt16LE(at + 2);
      const start = at + FRAME_HEADER_BYTES;
      const end = length === DYING ? start : start + length;
      if (end > bytes.length) break;
      if (length === HEARTBEAT_ANSWER) this.#answered();
      else if (length === DYING) this.#cause = line;
      else this.#lines.get(line)?.emit('frame', bytes.subarray(start, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #answered(): void {
    this.#isHeartbeatDue = true;
    this.#watch.produced();
  }

  #died(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const lines = [...this.#lines];
    this.#lines.clear();
    this.#options.logger.warn(
      { reason, streams: lines.length, hasKnownCause: this.#cause !== undefined },
      'a shared audio encoder died; its streams go on with another one',
    );
    this.#options.ended('died');
    for (const [number, line] of lines) line.lose(number === this.#cause);
  }
}

/** One stream's part of a shared encoder. */
class Line extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly encode: (packet: Buffer, samples: number) => void;
  readonly #close: () => Promise<unknown>;
  #closing: Promise<unknown> | undefined;
  running = true;
  /** Samples that have not been written to the process yet. */
  waiting = 0;

  constructor(encode: (packet: Buffer, samples: number) => void, close: () => Promise<unknown>) {
    super();
    this.encode = encode;
    this.#close = close;
  }

  async close(): Promise<void> {
    this.running = false;
    await (this.#closing ??= this.#close());
  }

  lose(isCause: boolean): void {
    this.running = false;
    this.emit('lost', isCause);
  }
}
