import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MAX_DEATHS, restartDelay } from '../ffmpeg/supervised-ffmpeg.ts';
import { hasDescriptorsForChild } from '../runtime/file-descriptors.ts';
import type { Logger } from '../observe/logger.ts';
import { tickMs } from '../runtime/tick.ts';
import { AAC_SAMPLE_RATE, type AacCoder, type AacCoderOptions } from './aac-coder.ts';
import { SharedEncoder } from './shared-encoder.ts';

export interface SharedEncodersOptions {
  readonly program: string;
  /**
   * Largest number of streams of a process: all of them have a moment of silence when it dies, and one core must
   * suffice for them.
   */
  readonly streamsEach: number;
  /** Milliseconds of audio that are encoded at once. */
  readonly audioBatchMs: number;
  readonly logger: Logger;
  /** Milliseconds of a clock that does not step. */
  readonly now?: () => number;
  /** The longest time in which the program ends without input, in milliseconds; for tests. */
  readonly probeMs?: number;
}

/** It takes a tenth of a second on an idle machine. */
const PROBE_MS = 20_000;

/** The processes that encode the audio of several streams each: as many as are needed, and none without a stream. */
export class SharedEncoders {
  readonly #options: SharedEncodersOptions;
  readonly #encoders = new Set<SharedEncoder>();
  #deaths: number[] = [];

  private constructor(options: SharedEncodersOptions) {
    this.#options = options;
  }

  /** @returns `undefined` if the program does not run: an update of the system may have removed one of its libraries */
  static async create(options: SharedEncodersOptions): Promise<SharedEncoders | undefined> {
    const { program, logger, probeMs = PROBE_MS } = options;
    try {
      // Without input it ends at once.
      const child = spawn(program, { stdio: 'ignore', timeout: probeMs, killSignal: 'SIGKILL' });
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
      if (code === 0) return new SharedEncoders(options);
      throw new Error(
        child.killed ? `it did not end within ${probeMs / 1000} s` : `it ended with ${signal ?? `code ${code}`}`,
      );
    } catch (error) {
      logger.warn(
        { program, reason: (error as Error).message },
        'the shared audio encoder does not run: each stream gets an ffmpeg of its own. Run the set-up again.',
      );
      return undefined;
    }
  }

  /**
   * Opens a coder for Opus.
   *
   * @returns `undefined` if these processes have died too often within a minute, or if none can be started
   */
  open(options: AacCoderOptions): AacCoder | undefined {
    const { streamsEach, now = tickMs } = this.#options;
    if (restartDelay(this.#deaths, now()) === undefined) return undefined;
    const encoder = [...this.#encoders].find(({ size }) => size < streamsEach) ?? this.#start();
    return encoder?.open(options);
  }

  #start(): SharedEncoder | undefined {
    if (!hasDescriptorsForChild()) return undefined;
    const { program, audioBatchMs, logger, now = tickMs } = this.#options;
    const encoder: SharedEncoder = new SharedEncoder({
      program,
      batchSamples: (AAC_SAMPLE_RATE * audioBatchMs) / 1000,
      logger,
      now,
      ended: (reason) => {
        this.#encoders.delete(encoder);
        if (reason === 'died') this.#deaths = [...this.#deaths, now()].slice(-MAX_DEATHS);
      },
    });
    this.#encoders.add(encoder);
    return encoder;
  }
}
