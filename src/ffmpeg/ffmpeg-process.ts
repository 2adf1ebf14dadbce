import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import ffmpeg from 'fluent-ffmpeg';
import { GatewayError } from '../errors.ts';
import { hasDescriptorsForChild, NO_DESCRIPTORS } from '../runtime/file-descriptors.ts';
import type { Logger } from '../observe/logger.ts';
import { adaptOptions } from './ffmpeg-abilities.ts';
import type { FfmpegCommandLine } from './ffmpeg-args.ts';

export interface FfmpegProcessEvents {
  /** What ffmpeg wrote to stdout: media, or `-progress` where the media goes elsewhere. */
  output: [chunk: Buffer];
  /** ffmpeg's stdin has room again. */
  drain: [];
  /** ffmpeg has ended and it was not us; `reason` is the end of its log. At most once, and nothing follows. */
  died: [reason: string];
}

/** Milliseconds that ffmpeg has to finish after SIGINT before it is killed. */
const GRACE_MS = 2000;
/** Lines of ffmpeg's log that are kept to explain its death. */
const LOG_LINES_KEPT = 12;

/** One running ffmpeg, fed and read through pipes. The only place that runs commands of fluent-ffmpeg. */
export class FfmpegProcess extends EventEmitter<FfmpegProcessEvents> {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<void>;
  #closing: Promise<void> | undefined;
  #finishing = false;
  #dead = false;
  #failure: string | undefined;

  private constructor(
    child: ChildProcessWithoutNullStreams,
    command: ffmpeg.FfmpegCommand,
    log: string[],
    purpose: string,
    logger: Logger,
  ) {
    super();
    this.#child = child;
    child.stdin.on('error', () => {}); // EPIPE: the exit tells more, and it follows
    child.stdin.on('drain', () => this.emit('drain'));
    this.#exited = new Promise((resolve) => {
      const ended = (error?: Error): void => {
        if (this.#dead) return;
        this.#dead = true;
        if (error) this.#failure = log.join(' | ') || error.message;
        resolve();
        if (this.#closing || this.#finishing) return;
        const reason = this.#failure ?? 'ffmpeg ended by itself';
        logger.debug({ pid: child.pid, purpose, reason }, 'ffmpeg died');
        this.emit('died', reason);
      };
      command.on('end', () => ended());
      command.on('error', ended);
      // In case fluent-ffmpeg misses the end of a pipe. Not `exit`: its last output would be lost.
      child.on('close', () => setImmediate(ended));
    });
  }

  /**
   * Starts ffmpeg.
   *
   * @param purpose what it is for, in a word or two; for the log
   * @param redact takes out of a line of ffmpeg's log what nobody may see
   * @throws {GatewayError} ENCODER_FAILED when it cannot be started
   */
  static start(
    line: FfmpegCommandLine,
    purpose: string,
    logger: Logger,
    redact = (text: string): string => text,
  ): Promise<FfmpegProcess> {
    return new Promise((resolve, reject) => {
      const log: string[] = [];
      const early: Buffer[] = [];
      let process: FfmpegProcess | undefined;
      // A sink of our own: with a named output fluent-ffmpeg would keep stdout as lines of text.
      const stdout = new Writable({
        write(chunk: Buffer, _encoding, done) {
          if (process) process.emit('output', chunk);
          else early.push(chunk);
          done();
        },
      });
      const command = ffmpeg({ logger: undefined, stdoutLines: LOG_LINES_KEPT })
        .input(line.input)
        .inputOptions(['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning', ...line.inputOptions])
        .outputOptions(adaptOptions(line.outputOptions));
      if (line.output === 'pipe:1') command.output(stdout);
      else command.output(line.output);

      command.on('stderr', (text: string) => {
        if (!text.trim()) return;
        log.push(redact(text.trim()));
        if (log.length > LOG_LINES_KEPT) log.shift();
      });
      const failed = (error: Error): void =>
        reject(new GatewayError('ENCODER_FAILED', `ffmpeg could not be started: ${error.message}`, { cause: error }));
      if (!hasDescriptorsForChild()) return failed(new Error(NO_DESCRIPTORS));
      command.once('error', failed);
      command.once('start', () => {
        // The child is set before `start` is emitted, but the pipes are only connected after it.
        setImmediate(() => {
          command.off('error', failed);
          const child = (command as unknown as { ffmpegProc?: ChildProcessWithoutNullStreams }).ffmpegProc;
          if (!child?.pid) return failed(new Error(log.join(' | ') || 'it ended at once'));
          process = new FfmpegProcess(child, command, log, purpose, logger);
          if (line.output !== 'pipe:1') child.stdout.on('data', (chunk: Buffer) => process!.emit('output', chunk));
          for (const chunk of early) process.emit('output', chunk);
          logger.debug({ pid: child.pid, purpose }, 'ffmpeg started');
          resolve(process);
        });
      });
      command.run();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Bytes that ffmpeg has not read yet. */
  get backlog(): number {
    return this.#child.stdin.writableLength;
  }

  get writable(): boolean {
    return !this.#dead && this.#child.stdin.writable && !this.#child.stdin.writableNeedDrain;
  }

  /** Hands bytes to ffmpeg's stdin; after its end they are dropped. */
  write(...parts: Buffer[]): void {
    const { stdin } = this.#child;
    if (this.#dead || !stdin.writable) return;
    if (parts.length === 1) {
      stdin.write(parts[0]!);
      return;
    }
    stdin.cork();
    for (const part of parts) stdin.write(part);
    stdin.uncork();
  }

  /**
   * Ends the input and waits until ffmpeg has written what is left and gone; for work that has an end.
   *
   * @throws {GatewayError} ENCODER_FAILED with the end of ffmpeg's log
   */
  async finish(): Promise<void> {
    this.#finishing = true;
    this.#child.stdin.end();
    await this.#exited;
    if (this.#failure !== undefined) throw new GatewayError('ENCODER_FAILED', `ffmpeg failed: ${this.#failure}`);
  }

  /**
   * Stops ffmpeg and waits until it is gone. Idempotent; emits nothing.
   *
   * @param inputMs milliseconds that it gets to read what it has been given, and to end by itself
   */
  close(inputMs = 0): Promise<void> {
    this.#closing ??= this.#stop(inputMs);
    return this.#closing;
  }

  async #stop(inputMs: number): Promise<void> {
    if (this.#dead) return;
    this.#child.stdin.end();
    const timers = [
      setTimeout(() => this.#child.kill('SIGINT'), inputMs),
      setTimeout(() => this.#child.kill('SIGKILL'), inputMs + GRACE_MS),
    ];
    await this.#exited;
    for (const timer of timers) clearTimeout(timer);
  }
}
