import { EventEmitter } from 'node:events';
import { toGatewayError, type GatewayError } from '../errors.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import { StreamMeter, type StreamMeasure } from '../media/stream-meter.ts';
import type { Logger } from '../observe/logger.ts';
import type { ComplianceView } from '../views/push-view.ts';
import { comply, INITIAL_COMPLIANCE, type ComplianceEffect, type ComplianceEvent } from './compliance-state.ts';
import type { EncodeProfile } from './encode-profile.ts';
import type { RenditionLease } from './encoder-pool.ts';
import { RenditionSwitch } from './rendition-switch.ts';

/** The encoding that keeps the rules. Its key frames come at fixed times. */
export interface ComplyingVideo {
  readonly height: number;
  readonly fps: number;
  /** Frames. */
  readonly keyFrameInterval: number;
  /** Kilobits per second. */
  readonly bitrate: number;
}

/** Knows the rules. Pure. */
export interface ComplianceJudge {
  /** The rules that the stream breaks and that re-encoding mends. */
  broken(measure: StreamMeasure): readonly string[];
  /** How to encode the stream so that it keeps the rules; `undefined` while its size is not known. */
  encoding(measure: StreamMeasure): ComplyingVideo | undefined;
}

export interface ComplianceOptions {
  readonly judge: ComplianceJudge;
  /** Runs a function every second with the wall clock. Returns a function that stops it. */
  readonly everySecond: (tick: (nowMs: number) => void) => () => void;
  readonly logger: Logger;
}

interface ComplianceParts extends ComplianceOptions {
  readonly direct: RenditionLease;
  /** @throws {GatewayError} TRANSCODING_DISABLED, LIMIT_REACHED */
  readonly openEncoded: (profile: Omit<EncodeProfile, 'audioCodec'>) => Promise<RenditionLease>;
  /** Whether the publisher is away. */
  readonly isAway: () => boolean;
}

/** Shorter measurements say nothing about rates and intervals, in milliseconds. */
const LEAST_MEASURED_MS = 3000;
/** Switches that an encoder may miss before it counts as too slow. */
const MAX_MISSED = 3;

/**
 * A stream that is passed through while it keeps rules, and re-encoded while it breaks them. Outputs see one rendition
 * that goes on.
 */
export class Compliance extends EventEmitter<{ change: [] }> {
  readonly rendition: RenditionSwitch;
  readonly #parts: ComplianceParts;
  readonly #meter = new StreamMeter();
  readonly #stopTicking: () => void;
  readonly #onTags = ({ tags }: TagGroup): void => {
    for (const tag of tags) this.#meter.take(tag);
  };
  readonly #onEncodedFailed = (error: GatewayError): void => this.#fail(error.message);
  #state = INITIAL_COMPLIANCE;
  #problem: string | undefined;
  #encoded: RenditionLease | undefined;
  #intervalMs = 0;
  #missed = 0;
  #opening: Promise<void> = Promise.resolve();
  #isOpening = false;
  #nowMs = 0;
  #closed = false;

  constructor(parts: ComplianceParts) {
    super();
    this.#parts = parts;
    const { rendition: direct } = parts.direct;
    this.rendition = new RenditionSwitch(direct, {
      onSwitched: (to) => this.#onSwitched(to),
      onMissed: () => {
        if (++this.#missed >= MAX_MISSED) this.#fail('The encoder is too slow for a switch.');
      },
    });
    for (const header of [direct.videoHeader, direct.audioHeader]) if (header) this.#meter.take(header);
    direct.on('tags', this.#onTags);
    this.#stopTicking = parts.everySecond((nowMs) => this.#tick(nowMs));
  }

  get view(): ComplianceView {
    return {
      mode: 'auto',
      state: this.rendition.onAir === 'encoded' ? 'encoding' : 'passing',
      because: this.#state.because,
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTicking();
    this.#parts.direct.rendition.off('tags', this.#onTags);
    this.rendition.close();
    await this.#opening;
    await this.#releaseEncoded();
    await this.#parts.direct.release();
  }

  #tick(nowMs: number): void {
    this.#nowMs = nowMs;
    const { judge, isAway } = this.#parts;
    if (isAway()) {
      this.#meter.reset();
      return this.#handle({ type: 'paused' });
    }
    if (this.#meter.windowMs < LEAST_MEASURED_MS) return this.#handle({ type: 'paused' });
    this.#handle({ type: 'judged', broken: judge.broken(this.#meter.measure()), nowMs });
  }

  #handle(event: ComplianceEvent): void {
    const before = this.view;
    const { state, effect } = comply(this.#state, event);
    this.#state = state;
    if (state.name === 'passing' && state.because.length === 0) this.#problem = undefined;
    if (effect) this.#apply(effect);
    if (JSON.stringify(this.view) !== JSON.stringify(before)) this.emit('change');
  }

  #apply(effect: ComplianceEffect): void {
    if (effect === 'pass') {
      this.#parts.logger.info('the stream is passed through again at its next key frame');
      return this.rendition.toDirect();
    }
    this.#problem = undefined;
    this.#missed = 0;
    this.#parts.logger.info({ because: this.#state.because }, 'the stream breaks rules and is re-encoded');
    if (this.#encoded) return this.rendition.toEncoded(this.#encoded.rendition, this.#intervalMs);
    if (!this.#isOpening) this.#opening = this.#open();
  }

  async #open(): Promise<void> {
    this.#isOpening = true;
    try {
      const encoding = this.#parts.judge.encoding(this.#meter.measure());
      if (!encoding) return this.#fail('The frame size is not known yet.');
      const lease = await this.#parts.openEncoded(encoding);
      if (this.#closed || this.#state.name !== 'encoding') return await lease.release();
      this.#encoded = lease;
      this.#intervalMs = (encoding.keyFrameInterval * 1000) / encoding.fps;
      lease.rendition.once('failed', this.#onEncodedFailed);
      this.rendition.toEncoded(lease.rendition, this.#intervalMs);
    } catch (error) {
      this.#fail(toGatewayError(error, 'ENCODER_FAILED').message);
    } finally {
      this.#isOpening = false;
    }
  }

  /** The stream goes on as it is. */
  #fail(problem: string): void {
    if (this.#closed) return;
    this.#problem = problem;
    this.#parts.logger.warn({ because: this.#state.because, reason: problem }, 'the stream cannot be re-encoded');
    const isHeld = this.#encoded !== undefined;
    this.#handle({ type: 'encoder-failed', nowMs: this.#nowMs });
    if (isHeld) this.rendition.encodedFailed();
  }

  #onSwitched(to: 'direct' | 'encoded'): void {
    this.#missed = 0;
    if (to === 'direct')
      this.#releaseEncoded().catch((error: unknown) =>
        this.#parts.logger.error({ err: error }, 'closing a video encoder failed'),
      );
    this.emit('change');
  }

  async #releaseEncoded(): Promise<void> {
    const lease = this.#encoded;
    this.#encoded = undefined;
    lease?.rendition.off('failed', this.#onEncodedFailed);
    await lease?.release();
  }
}
