import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../errors.ts';
import type { Logger } from '../observe/logger.ts';
import type { FfmpegCommandLine } from './ffmpeg-args.ts';
import { FfmpegProcess } from './ffmpeg-process.ts';
import { inBackground } from '../runtime/in-background.ts';
import { backoffMs, sharedRun, type Backoff } from '../runtime/async.ts';

export interface SupervisedFfmpegEvents {
  /** A new ffmpeg reads from now on. It needs the container's header first. */
  started: [];
  output: [chunk: Buffer];
  /** It died too often; nothing follows. */
  failed: [error: GatewayError];
}

/** Deaths within the window after which it is not started again: input that kills ffmpeg kills it again. */
export const MAX_DEATHS = 5;
const DEATH_WINDOW_MS = 60_000;
const RESTARTS: Backoff = { intervalMs: 50, capMs: DEATH_WINDOW_MS };
/** Bytes that may wait in front of ffmpeg: two seconds of 8 Mbit/s. More means that it hangs or is too slow. */
const MAX_BACKLOG = 2 * 1024 * 1024;

/** Milliseconds before the next start; `undefined` after too many deaths. */
export function restartDelay(deaths: readonly number[], nowMs: number): number | undefined {
  const recent = deaths.filter((at) => nowMs - at < DEATH_WINDOW_MS).length;
  return recent >= MAX_DEATHS ? undefined : backoffMs(RESTARTS, Math.max(0, recent - 1));
}

/** A command, or what makes one for each start. */
export type CommandSource = FfmpegCommandLine | (() => FfmpegCommandLine);

/** An ffmpeg that is kept running: it is restarted when it dies, until it has died too often. */
export class SupervisedFfmpeg extends EventEmitter<SupervisedFfmpegEvents> {
  #line: CommandSource;
  readonly #purpose: string;
  readonly #logger: Logger;
  #process: FfmpegProcess | undefined;
  readonly start = sharedRun(() => this.#run());
  #timer: NodeJS.Timeout | undefined;
  #deaths: number[] = [];
  /** Bytes that the running ffmpeg was given at once: see {@link prime}. */
  #primed = 0;
  /** Processes that are being closed. */
  readonly #leaving = new Set<Promise<void>>();
  #closed = false;

  constructor(line: CommandSource, purpose: string, logger: Logger) {
    super();
    this.#line = line;
    this.#purpose = purpose;
    this.#logger = logger;
  }

  /** Whether data that is written now reaches an ffmpeg. */
  get running(): boolean {
    return this.#process !== undefined;
  }

  /** Writes to ffmpeg's stdin; dropped while none runs. An ffmpeg that does not read its input is replaced. */
  write(...parts: Buffer[]): void {
    const process = this.#process;
    if (!process) return;
    process.write(...parts);
    if (process.backlog > MAX_BACKLOG + this.#primed) inBackground(this.restart('it is too slow for its input'));
  }

  /** Writes what an ffmpeg that has just started is to catch up with, however much that is. */
  prime(...parts: Buffer[]): void {
    this.#primed += parts.reduce((sum, { length }) => sum + length, 0);
    this.#process?.write(...parts);
  }

  /** Replaces an ffmpeg that does not work. Counts as a death, so this is not repeated without limit. */
  async restart(reason: string): Promise<void> {
    const process = this.#process;
    if (!process) return;
    this.#process = undefined;
    process.removeAllListeners();
    this.#died(reason);
    await this.#leave(process);
  }

  /**
   * Replaces the running ffmpeg for another command or another input. Does not count as a death. The old ffmpeg
   * produces no more output.
   */
  async replace(line: CommandSource = this.#line): Promise<void> {
    this.#line = line;
    const process = this.#process;
    // Without a process, one is being started or will be, and the command is read again then.
    if (!process) return;
    this.#process = undefined;
    process.removeAllListeners();
    inBackground(this.start());
    await this.#leave(process);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.start.running;
    const process = this.#process;
    this.#process = undefined;
    await Promise.all([process?.close(), ...this.#leaving]);
  }

  /** Closes a process, which {@link close} waits for. */
  async #leave(process: FfmpegProcess): Promise<void> {
    const leaving = process.close();
    this.#leaving.add(leaving);
    await leaving.finally(() => this.#leaving.delete(leaving));
  }

  async #run(): Promise<void> {
    const line = this.#line;
    let process: FfmpegProcess;
    try {
      process = await FfmpegProcess.start(typeof line === 'function' ? line() : line, this.#purpose, this.#logger);
    } catch (error) {
      this.#died(toGatewayError(error).message);
      return;
    }
    if (this.#closed) return process.close();
    if (line !== this.#line) {
      await process.close();
      return this.#closed ? undefined : this.#run();
    }
    process.on('output', (chunk) => this.emit('output', chunk));
    process.on('died', (reason) => {
      this.#process = undefined;
      this.#died(reason);
    });
    this.#process = process;
    this.#primed = 0;
    this.emit('started');
  }

  #died(reason: string): void {
    if (this.#closed) return;
    const now = performance.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < DEATH_WINDOW_MS), now];
    const delay = restartDelay(this.#deaths, now);
    if (delay === undefined) {
      this.#closed = true;
      this.emit(
        'failed',
        new GatewayError(
          'ENCODER_FAILED',
          `The ${this.#purpose} failed ${this.#deaths.length} times within a minute: ${reason}`,
        ),
      );
      return;
    }
    this.#logger.warn({ purpose: this.#purpose, reason }, 'ffmpeg died and is restarted');
    this.#timer = setTimeout(() => inBackground(this.start()), delay);
  }
}
