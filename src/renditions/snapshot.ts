import { GatewayError } from '../errors.ts';
import { toImage, type ImageFormat } from '../ffmpeg/ffmpeg-args.ts';
import { runForImage } from '../ffmpeg/run-for-image.ts';
import { ivfFrameHeader, ivfHeader } from '../media/containers/ivf.ts';
import { TAG_VIDEO } from '../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../media/containers/flv-writer.ts';
import { limitReached } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import type { FrameSize, LiveStream } from '../streams/live-stream.ts';
import { sleep, systemClock, type Clock } from '../runtime/clock.ts';
import { tickMs } from '../runtime/tick.ts';
import { DEFAULT_MAX_FRAME_SIZE, decoderPixels } from './frame-limit.ts';
import { JobQueue } from './job-queue.ts';
import type { KeyFrameReader } from './key-frame-reader.ts';
import { FOURCC, type KeyFrame } from './media-source.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/**
 * A snapshot answers all requests for its stream and form for this time, and the next one in another form is taken after
 * it. Milliseconds.
 */
const SHARED_MS = 1000;
/** Forms of one stream that are there or wait, each for a second. */
const MAX_FORMS = 4;
/**
 * A key frame that the stream already has is used up to this age: the default key frame interval and some delay.
 * Milliseconds.
 */
const RECENT_MS = 3000;
/** A decode takes a quarter of a core for 0.1 s at 720p; two at a time leave room for the streams. */
const DEFAULT_MAX_DECODES = 2;
const MAX_WAITING = 8;
/** A decode takes well below a second, even of 4K. */
const DECODE_TIMEOUT_MS = 10_000;

export interface SnapshotForm {
  readonly format: ImageFormat;
  /** Pixels; unset: the frame's. Frames are never enlarged. */
  readonly width?: number;
}

export interface Snapshot {
  readonly image: Buffer;
  /** When the frame has arrived. */
  readonly takenAt: Date;
}

/** The snapshots of one stream. */
interface StreamSnapshots {
  /** By form. */
  readonly forms: Map<string, Promise<Snapshot>>;
  /** Resolved a second after the latest one. */
  turn: Promise<void>;
}

export interface SnapshotServiceOptions {
  /** Where the last key frame of a stream is found that is being read anyway: the encoder pool. */
  readonly running: { lastKeyFrame(stream: LiveStream): KeyFrame | undefined };
  readonly keyFrames: KeyFrameReader;
  /** The largest frame that is decoded. */
  readonly maxFrameSize?: FrameSize;
  /** Decoders at the same time (`max_snapshot_processes`). */
  readonly maxDecodes?: number;
  readonly clock?: Clock;
  readonly logger: Logger;
}

/**
 * Takes snapshots of streams. A stream is decoded once per second at most, failed decodes included: requests for the
 * same form share one, and other forms take turns. The whole gateway runs `maxDecodes` at a time: each is an ffmpeg, and
 * starting many at once would stall the event loop.
 */
export class SnapshotService {
  readonly #options: SnapshotServiceOptions;
  readonly #streams = new Map<LiveStream, StreamSnapshots>();
  readonly #decodes: JobQueue;
  readonly #closed = new AbortController();

  constructor(options: SnapshotServiceOptions) {
    this.#options = options;
    this.#decodes = new JobQueue(options.maxDecodes ?? DEFAULT_MAX_DECODES, MAX_WAITING, tooManySnapshots);
  }

  /** The image alone: see {@link capture}. */
  async take(stream: LiveStream, format: ImageFormat = 'jpeg'): Promise<Buffer> {
    return (await this.capture(stream, { format })).image;
  }

  /**
   * The current frame of a stream.
   *
   * @throws {GatewayError} ENCODER_FAILED if there is no frame, or it cannot be decoded; FRAME_TOO_LARGE; LIMIT_REACHED
   * if too many requests wait
   */
  async capture(stream: LiveStream, form: SnapshotForm): Promise<Snapshot> {
    let of = this.#streams.get(stream);
    if (!of) this.#streams.set(stream, (of = { forms: new Map(), turn: Promise.resolve() }));
    const { forms, turn } = of;
    const key = `${form.format} ${form.width ?? ''}`;
    const taken = forms.get(key);
    if (taken) return taken;
    if (forms.size >= MAX_FORMS) throw tooManySnapshots();
    const snapshot = forms.size === 0 ? this.#take(stream, form) : turn.then(() => this.#take(stream, form));
    forms.set(key, snapshot);
    of.turn = this.#pauseAfter(snapshot).then(() => {
      forms.delete(key);
      if (forms.size === 0) this.#streams.delete(stream);
    });
    return snapshot;
  }

  /** Ends running decodes; their requests fail. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled([...this.#streams.values()].flatMap(({ forms }) => [...forms.values()]));
  }

  async #pauseAfter(snapshot: Promise<Snapshot>): Promise<void> {
    try {
      await snapshot;
    } catch (error) {
      // Nothing was decoded.
      if (error instanceof GatewayError && error.code === 'LIMIT_REACHED') return;
    }
    await sleep(this.#options.clock ?? systemClock, SHARED_MS, this.#closed.signal);
  }

  async #take(stream: LiveStream, form: SnapshotForm): Promise<Snapshot> {
    const recent = this.#options.running.lastKeyFrame(stream);
    const keyFrame =
      recent && tickMs() - recent.arrivedMs <= RECENT_MS ? recent : await this.#options.keyFrames.read(stream);
    const takenAt = new Date(wallClockMs() - (tickMs() - keyFrame.arrivedMs));
    return { image: await this.#decodes.run(() => this.#decode(keyFrame, form)), takenAt };
  }

  async #decode(keyFrame: KeyFrame, { format, width = Infinity }: SnapshotForm): Promise<Buffer> {
    const { maxFrameSize = DEFAULT_MAX_FRAME_SIZE, logger } = this.#options;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(DECODE_TIMEOUT_MS)]);
    signal.throwIfAborted();
    const line = toImage(
      format,
      keyFrame.codec === 'h264' ? 'flv' : 'ivf',
      decoderPixels(maxFrameSize),
      Number.isFinite(width) ? width : undefined,
    );
    return runForImage(line, container(keyFrame), { purpose: 'snapshot', signal, logger });
  }
}

const tooManySnapshots = (): GatewayError =>
  limitReached(
    'max_snapshot_processes',
    'Too many snapshots are being taken (max_snapshot_processes). Try again in a second.',
  );

/** A file with one frame: FLV for H.264, IVF for other codecs. */
function container({ codec, size, header, data }: KeyFrame): Buffer[] {
  if (codec !== 'h264')
    return [ivfHeader({ fourcc: FOURCC[codec], ...size, timebase: [1, 1000] }), ivfFrameHeader(data.length, 0), data];
  return [flvHeader({ audio: false, video: true }), ...flvBytes(header!, true), ...flvBytes(data, false)];
}

function flvBytes(data: Buffer, sequenceHeader: boolean): Buffer[] {
  const { head, tail } = flvTagParts(
    { type: TAG_VIDEO, timestamp: 0, data, keyFrame: !sequenceHeader, sequenceHeader },
    0,
  );
  return [head, data, tail];
}
