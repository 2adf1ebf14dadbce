import { GatewayError, toGatewayError } from '../errors.ts';
import { toImage, type ImageFormat } from '../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { ivfFrameHeader, ivfHeader } from '../media/containers/ivf.ts';
import { TAG_VIDEO } from '../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../media/containers/flv-writer.ts';
import { limitReached } from '../observe/limits.ts';
import type { Logger } from '../observe/logger.ts';
import type { FrameSize, LiveStream } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { DEFAULT_MAX_FRAME_SIZE, decoderPixels } from './frame-limit.ts';
import { JobQueue } from './job-queue.ts';
import type { KeyFrameReader } from './key-frame-reader.ts';
import { FOURCC, type KeyFrame } from './media-source.ts';

/** A snapshot answers all requests for its stream for this time, in milliseconds. */
const SHARED_MS = 1000;
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

export interface SnapshotServiceOptions {
  /** Where the last key frame of a stream is found that is being read anyway: the encoder pool. */
  readonly running: { lastKeyFrame(stream: LiveStream): KeyFrame | undefined };
  readonly keyFrames: KeyFrameReader;
  /** The largest frame that is decoded. */
  readonly maxFrameSize?: FrameSize;
  /** Decoders at the same time (`max_snapshot_processes`). */
  readonly maxDecodes?: number;
  readonly logger: Logger;
}

/**
 * Takes snapshots of streams. Requests for one stream and format share one decode per second, failed ones included, and the whole gateway
 * runs `maxDecodes` at most: each is an ffmpeg, and starting many at once would stall the event loop.
 */
export class SnapshotService {
  readonly #options: SnapshotServiceOptions;
  readonly #snapshots = { jpeg: new Map<LiveStream, Promise<Buffer>>(), png: new Map<LiveStream, Promise<Buffer>>() };
  readonly #decodes: JobQueue;
  readonly #closed = new AbortController();

  constructor(options: SnapshotServiceOptions) {
    this.#options = options;
    this.#decodes = new JobQueue(options.maxDecodes ?? DEFAULT_MAX_DECODES, MAX_WAITING, () =>
      limitReached(
        'max_snapshot_processes',
        'Too many snapshots are being taken (max_snapshot_processes). Try again in a second.',
      ),
    );
  }

  /**
   * The current frame of a stream.
   *
   * @throws {GatewayError} ENCODER_FAILED if there is no frame, or it cannot be decoded; FRAME_TOO_LARGE; LIMIT_REACHED
   * if too many requests wait
   */
  take(stream: LiveStream, format: ImageFormat = 'jpeg'): Promise<Buffer> {
    const snapshots = this.#snapshots[format];
    let snapshot = snapshots.get(stream);
    if (!snapshot) {
      snapshot = this.#take(stream, format);
      snapshots.set(stream, snapshot);
      const forget = (): void => void snapshots.delete(stream);
      snapshot.then(
        () => setTimeout(forget, SHARED_MS).unref(),
        (error: unknown) => {
          // Nothing was decoded.
          if (error instanceof GatewayError && error.code === 'LIMIT_REACHED') forget();
          else setTimeout(forget, SHARED_MS).unref();
        },
      );
    }
    return snapshot;
  }

  /** Ends running decodes; their requests fail. */
  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled([...this.#snapshots.jpeg.values(), ...this.#snapshots.png.values()]);
  }

  async #take(stream: LiveStream, format: ImageFormat): Promise<Buffer> {
    const recent = this.#options.running.lastKeyFrame(stream);
    const keyFrame =
      recent && tickMs() - recent.arrivedMs <= RECENT_MS ? recent : await this.#options.keyFrames.read(stream);
    return this.#decodes.run(() => this.#decode(keyFrame, format));
  }

  async #decode(keyFrame: KeyFrame, format: ImageFormat): Promise<Buffer> {
    const { maxFrameSize = DEFAULT_MAX_FRAME_SIZE, logger } = this.#options;
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(DECODE_TIMEOUT_MS)]);
    signal.throwIfAborted();
    const line = toImage(format, keyFrame.codec === 'h264' ? 'flv' : 'ivf', decoderPixels(maxFrameSize));
    const process = await FfmpegProcess.start(line, 'snapshot', logger);
    const chunks: Buffer[] = [];
    process.on('output', (chunk) => chunks.push(chunk));
    process.write(...container(keyFrame));
    try {
      await process.finish(signal);
    } catch (error) {
      throw toGatewayError(error, 'ENCODER_FAILED');
    }
    if (chunks.length === 0) throw new GatewayError('ENCODER_FAILED', 'ffmpeg decoded no frame.');
    return Buffer.concat(chunks);
  }
}

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
