import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Writable } from 'node:stream';
import ffmpeg from 'fluent-ffmpeg';
import { GatewayError } from '../errors.ts';
import { hasDescriptorsForChild, NO_DESCRIPTORS } from '../runtime/file-descriptors.ts';
import type { Logger } from '../observe/logger.ts';
import { adaptOptions } from './ffmpeg-abilities.ts';
import type { FfmpegCommandLine } from './ffmpeg-args.ts';
import { ffmpegMemory } from './ffmpeg-memory.ts';

export interface FfmpegProcessEvents {
  /** Data from ffmpeg's stdout: media, or `-progress` reports if the media is written elsewhere. */
  output: [chunk: Buffer];
  /** ffmpeg's stdin accepts data again. */
  drain: [];
  /**
   * ffmpeg has ended although it was not stopped; `reason` is the end of its log. Emitted at most once, and nothing
   * follows.
   */
  died: [reason: string];
}

/** Milliseconds between SIGINT and SIGKILL. */
const GRACE_MS = 2000;
/** Lines of ffmpeg's log that are kept to explain its end. */
const LOG_LINES_KEPT = 12;

/** One running ffmpeg with pipes for input and output. The only place that runs commands of fluent-ffmpeg. */
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
    child.stdin.on('error', () => {}); // EPIPE: the exit follows, with a reason
    child.stdin.on('drain', () => this.emit('drain'));
    const unwatch = ffmpegMemory.add(child.pid!, (reason) => this.#kill(reason));
    this.#exited = new Promise((resolve) => {
      const ended = (error?: Error): void => {
        if (this.#dead) return;
        this.#dead = true;
        unwatch();
        if (error) this.#failure ??= log.join(' | ') || error.message;
        resolve();
        if (this.#closing || this.#finishing) return;
        const reason = this.#failure ?? 'ffmpeg ended by itself';
        logger.debug({ pid: child.pid, purpose, reason }, 'ffmpeg died');
        this.emit('died', reason);
      };
      command.on('end', () => ended());
      command.on('error', ended);
      // In case fluent-ffmpeg misses the end of a pipe. Not on `exit`: the last output would be lost.
      child.on('close', () => setImmediate(ended));
    });
  }

  /**
   * Starts ffmpeg. Add listeners as soon as the promise resolves: output that came before is emitted right after.
   *
   * @param purpose a short description for the log
   * @param redact removes secrets from a line of ffmpeg's log
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
      // A writable stream instead of a named output: for the latter, fluent-ffmpeg would keep stdout as lines of text.
      const stdout = new Writable({
        // fluent-ffmpeg kills a process that does not end within 20 ms after this event.
        emitClose: false,
        write(chunk: Buffer, _encoding, done) {
          if (process) process.emit('output', chunk);
          else early.push(chunk);
          done();
        },
      });
      // As arguments and not as one array, in which fluent-ffmpeg splits an option that contains a space.
      const command = ffmpeg({ logger: undefined, stdoutLines: LOG_LINES_KEPT })
        .input(line.input)
        .inputOptions('-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning', ...line.inputOptions)
        .outputOptions(...adaptOptions(line.outputOptions));
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
      command.on('error', () => {}); // fluent-ffmpeg may report a second one after a failed start
      command.once('start', () => {
        // fluent-ffmpeg's own listener throws when the process could not be spawned (EAGAIN, ENOENT), which would end
        // the gateway.
        childOf(command)?.removeAllListeners('error').on('error', failed);
        // The child is set before `start` is emitted, but its pipes are connected afterwards.
        setImmediate(() => {
          command.off('error', failed);
          const child = childOf(command);
          if (!child?.pid) return failed(new Error(log.join(' | ') || 'it ended immediately'));
          const started = new FfmpegProcess(child, command, log, purpose, logger);
          process = started;
          if (line.output !== 'pipe:1') child.stdout.on('data', (chunk: Buffer) => started.emit('output', chunk));
          logger.debug({ pid: child.pid, purpose }, 'ffmpeg started');
          resolve(started);
          // After the caller has continued and added its listeners.
          queueMicrotask(() => {
            for (const chunk of early) started.emit('output', chunk);
          });
        });
      });
      command.run();
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Bytes in front of ffmpeg that it has not read yet. */
  get backlog(): number {
    return this.#child.stdin.writableLength;
  }

  get writable(): boolean {
    return !this.#dead && this.#child.stdin.writable && !this.#child.stdin.writableNeedDrain;
  }

  /** Writes to ffmpeg's stdin; after ffmpeg's end the data is dropped. */
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
   * Ends the input and waits until ffmpeg has processed it and exited; for work that has an end.
   *
   * @param signal kills ffmpeg, by an abort or a timeout
   * @throws {GatewayError} ENCODER_FAILED with the end of ffmpeg's log
   */
  async finish(signal?: AbortSignal): Promise<void> {
    this.#finishing = true;
    const abort = (): void =>
      this.#kill((signal!.reason as Error).name === 'TimeoutError' ? 'it took too long' : 'it was stopped');
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    this.#child.stdin.end();
    await this.#exited;
    signal?.removeEventListener('abort', abort);
    if (this.#failure !== undefined) throw new GatewayError('ENCODER_FAILED', `ffmpeg failed: ${this.#failure}`);
  }

  /**
   * Stops ffmpeg and waits until it has exited. Idempotent; emits nothing.
   *
   * @param inputMs milliseconds in which it may process its remaining input and end by itself
   */
  close(inputMs = 0): Promise<void> {
    this.#closing ??= this.#stop(inputMs);
    return this.#closing;
  }

  #kill(reason: string): void {
    if (this.#dead) return;
    this.#failure = reason;
    this.#child.kill('SIGKILL');
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

/** The process of a running command; fluent-ffmpeg has no public property for it. */
function childOf(command: ffmpeg.FfmpegCommand): ChildProcessWithoutNullStreams | undefined {
  return (command as unknown as { ffmpegProc?: ChildProcessWithoutNullStreams }).ffmpegProc;
}
