import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MAX_DEATHS, restartDelay } from '../ffmpeg/supervised-ffmpeg.ts';
import { hasDescriptorsForChild } from '../runtime/file-descriptors.ts';
import type { Logger } from '../observe/logger.ts';
import { AAC_SAMPLE_RATE, type AacCoder, type AacCoderOptions } from './aac-coder.ts';
import { SharedEncoder } from './shared-encoder.ts';

export interface SharedEncodersOptions {
  readonly program: string;
  /** Streams that share a process at most: so many have a moment of silence when it dies, and one core is to be enough for them. */
  readonly streamsEach: number;
  /** Milliseconds of sound that are encoded at once. */
  readonly audioBatchMs: number;
  readonly logger: Logger;
}

/** The processes that encode the sound of several streams each: as many as are needed, and none without a stream. */
export class SharedEncoders {
  readonly #options: SharedEncodersOptions;
  readonly #encoders = new Set<SharedEncoder>();
  #deaths: number[] = [];

  private constructor(options: SharedEncodersOptions) {
    this.#options = options;
  }

  /** `undefined` where the program does not run: a library of it may have gone with an update of the system. */
  static async create(options: SharedEncodersOptions): Promise<SharedEncoders | undefined> {
    const { program, logger } = options;
    try {
      // Without input it has nothing to do.
      const [code] = (await once(spawn(program, { stdio: 'ignore' }), 'close')) as [number | null];
      if (code === 0) return new SharedEncoders(options);
      throw new Error(`it ended with code ${code}`);
    } catch (error) {
      logger.warn(
        { program, reason: (error as Error).message },
        'the shared audio encoder does not run: each stream has an ffmpeg of its own. Run the set-up again.',
      );
      return undefined;
    }
  }

  /**
   * A coder for Opus; `undefined` when such processes have died too often within a minute, as somebody's sound kills them, and when one can not be
   * started.
   */
  open(options: AacCoderOptions): AacCoder | undefined {
    if (restartDelay(this.#deaths, Date.now()) === undefined) return undefined;
    const { streamsEach } = this.#options;
    const encoder = [...this.#encoders].find(({ size }) => size < streamsEach) ?? this.#start();
    return encoder?.open(options);
  }

  #start(): SharedEncoder | undefined {
    if (!hasDescriptorsForChild()) return undefined;
    const { program, audioBatchMs, logger } = this.#options;
    const encoder: SharedEncoder = new SharedEncoder({
      program,
      batchSamples: (AAC_SAMPLE_RATE * audioBatchMs) / 1000,
      logger,
      ended: (reason) => {
        this.#encoders.delete(encoder);
        if (reason === 'died') this.#deaths = [...this.#deaths, Date.now()].slice(-MAX_DEATHS);
      },
    });
    this.#encoders.add(encoder);
    return encoder;
  }
}
