import { GatewayError } from '../errors.ts';
import { limitReached } from '../observe/limits.ts';

/** Counts running video encoders, and limits their number. */
export class VideoEncoderSlots {
  readonly #max: number;
  readonly #disabled: boolean;
  #used = 0;

  /** @param disabled whether no video may be encoded at all (`transcoding_disabled`) */
  constructor(max: number, disabled: boolean) {
    this.#max = max;
    this.#disabled = disabled;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws {GatewayError} TRANSCODING_DISABLED */
  checkEnabled(): void {
    if (this.#disabled)
      throw new GatewayError(
        'TRANSCODING_DISABLED',
        'Transcoding required, but disabled (transcoding_disabled). Push without height, fps, keyFrameInterval ' +
          'and comply, and publish H.264.',
      );
  }

  /** @throws {GatewayError} TRANSCODING_DISABLED or LIMIT_REACHED */
  check(): void {
    this.checkEnabled();
    if (this.#used >= this.#max)
      throw limitReached(
        'max_encoders',
        `All ${this.#max} video encoders are in use (max_encoders). Push without transcoding, or wait until one is free.`,
      );
  }

  /**
   * Takes a slot for one encoder.
   *
   * @returns gives it back; to be called once
   * @throws {GatewayError} as {@link check}
   */
  take(): () => void {
    this.check();
    this.#used++;
    return () => void this.#used--;
  }
}
