import { GatewayError } from '../errors.ts';
import type { FrameSize, LiveStream, VideoTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { DEFAULT_MAX_FRAME_SIZE } from './frame-limit.ts';
import { KeyFramePace, KeyFrameRequests } from './key-frame-requests.ts';
import type { KeyFrame } from './media-source.ts';
import { mediaTicker } from './media-ticker.ts';
import { StreamTime } from './stream-time.ts';
import { VideoInput } from './video-input.ts';
import { VideoLine } from './video-line.ts';
import { inBackground } from '../runtime/in-background.ts';
import { SingleFlight } from '../runtime/async.ts';

/** A connected publisher sends a key frame within about a second after a request. */
const TIMEOUT_MS = 5000;
/** The first key frame ends the reading, so none is requested at an interval. */
const NO_INTERVAL = Infinity;

export interface KeyFrameReaderOptions {
  /** The largest frame that is accepted. */
  readonly maxFrameSize?: FrameSize;
  /** Milliseconds; for tests. */
  readonly timeoutMs?: number;
}

/**
 * Reads single key frames of streams, without an encoder. Callers that ask for the same stream at the same time share
 * one subscription.
 */
export class KeyFrameReader {
  readonly #maxFrameSize: FrameSize;
  readonly #timeoutMs: number;
  readonly #reading = new SingleFlight<LiveStream, KeyFrame>();

  constructor({ maxFrameSize = DEFAULT_MAX_FRAME_SIZE, timeoutMs = TIMEOUT_MS }: KeyFrameReaderOptions = {}) {
    this.#maxFrameSize = maxFrameSize;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Requests a key frame and waits for it. The stream's frame size is known afterwards.
   *
   * @throws {GatewayError} ENCODER_FAILED if there is no video or no key frame arrives; FRAME_TOO_LARGE
   */
  read(stream: LiveStream): Promise<KeyFrame> {
    return this.#reading.run(stream, () => this.#read(stream));
  }

  async #read(stream: LiveStream): Promise<KeyFrame> {
    const track = stream.publisher?.video;
    if (!track) throw new GatewayError('ENCODER_FAILED', `Stream ${stream.name} has no video at the moment.`);
    const { promise, resolve, reject } = Promise.withResolvers<KeyFrame>();
    const gone = (): void => reject(new GatewayError('ENCODER_FAILED', `The publisher of ${stream.name} is gone.`));
    stream.on('lost', gone);
    stream.on('ended', gone);
    const timer = setTimeout(() => {
      const seconds = this.#timeoutMs / 1000;
      reject(new GatewayError('ENCODER_FAILED', `Stream ${stream.name} has sent no key frame for ${seconds} s.`));
    }, this.#timeoutMs);
    const reading = this.#subscribe(stream, track, resolve, reject);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      stream.off('lost', gone);
      stream.off('ended', gone);
      inBackground(reading.then((stop) => stop()));
    }
  }

  /** @returns ends the subscription */
  async #subscribe(
    stream: LiveStream,
    track: VideoTrack,
    resolve: (keyFrame: KeyFrame) => void,
    reject: (error: unknown) => void,
  ): Promise<() => void> {
    const line = new VideoLine({ tag() {}, frame() {}, size: (size) => stream.resize(size) });
    const requests = new KeyFrameRequests(NO_INTERVAL, () => input?.requestKeyFrame());
    let input: VideoInput | undefined;
    try {
      input = await VideoInput.create(track, new StreamTime(), this.#maxFrameSize, {
        frame: (frame, nowMs) => {
          if (frame.keyFrame) requests.arrived(nowMs);
          line.take(frame, nowMs);
          if (line.lastKeyFrame) resolve(line.lastKeyFrame);
        },
        keyFrameNeeded: (nowMs) => requests.need(nowMs),
        refused: reject,
      });
    } catch (error) {
      reject(error);
      return () => {};
    }
    const video = input;
    requests.start(tickMs(), KeyFramePace.of(track));
    const stopTicking = mediaTicker.listen((nowMs) => {
      video.poll(nowMs);
      requests.tick(nowMs);
    });
    return () => {
      stopTicking();
      video.close();
    };
  }
}
