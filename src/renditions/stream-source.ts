import { EventEmitter } from 'node:events';
import { GatewayError, toGatewayError } from '../errors.ts';
import { opusPacketSamples } from '../media/codecs/opus-packet.ts';
import { TAG_AUDIO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioTrack, FrameSize, LiveStream, Publisher, VideoCodec, VideoTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { AudioEncoder } from './audio-encoder.ts';
import { AAC_FORMAT, type AudioFormat } from './audio-format.ts';
import { createAudioInput } from './audio-input.ts';
import { AudioLine } from './audio-line.ts';
import { GroupOfFrames, type GroupFrame } from './group-of-frames.ts';
import { DEFAULT_MAX_FRAME_SIZE } from './frame-limit.ts';
import { KeyFramePace, KeyFrameRequests } from './key-frame-requests.ts';
import type { KeyFrame, MediaSource, MediaSourceEvents } from './media-source.ts';
import { mediaTicker } from './media-ticker.ts';
import { BURST_MS } from './real-time-budget.ts';
import type { SharedEncoders } from './shared-encoders.ts';
import { FrameRate } from './standby/frame-rate.ts';
import { StreamTime } from './stream-time.ts';
import type { TrackInput } from './track-input.ts';
import { VideoInput } from './video-input.ts';
import { VideoLine } from './video-line.ts';
import type { VideoSink, VideoSource } from './video-source.ts';

export interface StreamSourceOptions {
  /** Kilobits per second of AAC. */
  readonly audioBitrate: number;
  /** Milliseconds of audio that are encoded at once. */
  readonly audioBatchMs: number;
  readonly sharedEncoders?: SharedEncoders;
  /** Default: AAC. */
  readonly audioFormat?: AudioFormat;
  /** The largest frame that is accepted. */
  readonly maxFrameSize?: FrameSize;
  /** Milliseconds between the key frames that are requested from the publisher. */
  readonly keyFrameIntervalMs: number;
  readonly logger: Logger;
}

/**
 * A live stream as the renditions read it: H.264 as FLV tags, other video codecs as frames, audio encoded, silence
 * while there is none. It outlives its publisher while the stream is held for the publisher's return, and then goes on,
 * even with another codec.
 */
export class StreamSource extends EventEmitter<MediaSourceEvents> implements MediaSource {
  readonly audioHeader: FlvTag | undefined;
  readonly #stream: LiveStream;
  readonly #options: StreamSourceOptions;
  readonly #audioFormat: AudioFormat;
  readonly #maxFrameSize: FrameSize;
  readonly #time = new StreamTime();
  readonly #audioLine: AudioLine;
  /** Only while `completeAudio` has listeners. */
  #completeLine: AudioLine | undefined;
  readonly #videoLine: VideoLine;
  /** For encoders that start soon after a key frame, of which a publisher may send few. */
  readonly #group = new GroupOfFrames(RECENT_BYTES);
  readonly #rate = new FrameRate();
  readonly #keyFrames: KeyFrameRequests;
  readonly #videoSink: VideoSink;
  readonly #stopTicking: () => void;
  readonly #onPublished = (publisher: Publisher): void =>
    void this.#attach(publisher).catch((error: unknown) => {
      // If the publisher is gone again, the stream is held for the next one.
      if (this.#publisher === publisher) this.#fail(error);
    });
  readonly #onLost = (): void => this.#detach();
  #publisher: Publisher | undefined;
  #wasLost = false;
  #audio: TrackInput | undefined;
  #encoder: AudioEncoder | undefined;
  #audioCodec: string | undefined;
  #video: VideoSource | undefined;
  #videoCodec: VideoCodec | undefined;
  #metadata: StreamMetadata;
  /** Why the video cannot be used, as reported last. */
  #unusable: string | undefined;
  #failed = false;
  #closed = false;

  private constructor(stream: LiveStream, options: StreamSourceOptions) {
    super();
    this.setMaxListeners(0);
    this.#stream = stream;
    // Known for a held stream too.
    this.#videoCodec = stream.videoCodec;
    this.#options = options;
    this.#maxFrameSize = options.maxFrameSize ?? DEFAULT_MAX_FRAME_SIZE;
    const format = options.audioFormat ?? AAC_FORMAT;
    this.#audioFormat = format;
    this.#metadata = { ...format.metadata, ...(format.codec === 'aac' && { audioBitrate: options.audioBitrate }) };
    this.audioHeader = format.header && {
      type: TAG_AUDIO,
      timestamp: 0,
      data: format.header,
      keyFrame: false,
      sequenceHeader: true,
    };
    this.#audioLine = new AudioLine(options.audioBatchMs, (tag) => this.emit('audio', tag), format);
    this.#videoLine = new VideoLine({
      tag: (tag) => {
        if (!tag.sequenceHeader) this.#group.add(tag);
        this.emit('video', tag);
      },
      frame: (frame) => {
        this.#group.add(frame);
        this.emit('frame', frame);
      },
      size: (size) => this.#resize(size),
    });
    this.#keyFrames = new KeyFrameRequests(
      options.keyFrameIntervalMs,
      () => this.#video?.requestKeyFrame(),
      // Without packets, key frames are not what is missing.
      () => this.#video?.unusable !== undefined && this.#warn(NO_KEY_FRAME),
    );
    this.#videoSink = {
      frame: (frame, nowMs) => {
        if (frame.keyFrame) this.#keyFrames.arrived(nowMs);
        this.#rate.note(frame.streamMs, nowMs);
        this.#videoLine.take(frame, nowMs);
      },
      keyFrameNeeded: (nowMs) => this.#keyFrames.need(nowMs),
      refused: (error) => this.#fail(error),
    };
    stream.on('published', this.#onPublished);
    stream.on('lost', this.#onLost);
    this.#stopTicking = mediaTicker.listen((nowMs) => this.#tick(nowMs));
  }

  static async create(stream: LiveStream, options: StreamSourceOptions): Promise<StreamSource> {
    const source = new StreamSource(stream, options);
    try {
      if (stream.publisher) await source.#attach(stream.publisher);
    } catch (error) {
      await source.close();
      throw error;
    }
    return source;
  }

  get metadata(): StreamMetadata {
    return this.#metadata;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#videoLine.header;
  }

  get videoCodec(): VideoCodec | undefined {
    return this.#videoCodec;
  }

  /** The last key frame of the current codec. */
  get lastKeyFrame(): KeyFrame | undefined {
    return this.#videoLine.lastKeyFrame;
  }

  recentFrames(): readonly GroupFrame[] {
    return this.#group.frames();
  }

  get frameRate(): number | undefined {
    return this.#rate.known;
  }

  requestKeyFrame(): void {
    this.#keyFrames.want(tickMs());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTicking();
    this.#stream.off('published', this.#onPublished);
    this.#stream.off('lost', this.#onLost);
    this.#detach();
    await this.#encoder?.close();
  }

  async #attach(publisher: Publisher): Promise<void> {
    this.#detach();
    this.#publisher = publisher;
    const { audio, video } = publisher;
    const changesCodec = video?.codec !== this.#videoCodec;
    if (changesCodec) this.#changeCodec(video?.codec);
    if (this.#wasLost || changesCodec) this.#resume();
    // Both at the same time, so that the first sender reports and packets of neither are missed.
    await Promise.all([audio && this.#attachAudio(audio, publisher), video && this.#attachVideo(video, publisher)]);
  }

  #changeCodec(codec: VideoCodec | undefined): void {
    this.#videoCodec = codec;
    this.#videoLine.changeCodec();
    const { width: _width, height: _height, videoCodecId: _id, ...others } = this.#metadata;
    this.#metadata = others;
  }

  #resume(): void {
    if (this.#wasLost) this.#time.resume(tickMs());
    this.#wasLost = false;
    this.#rate.restart();
    this.#group.clear();
    this.#encoder?.restart();
    this.emit('resumed');
  }

  async #attachAudio(track: AudioTrack, publisher: Publisher): Promise<void> {
    const { codec } = this.#audioFormat;
    if (codec === 'opus') return this.#passAudio(track, publisher);
    if (this.#audioCodec !== track.codec) {
      await this.#encoder?.close();
      this.#audioCodec = track.codec;
      const encoder = new AudioEncoder(track.codec, track.clockRate, {
        ...this.#options,
        audioCodec: codec,
      });
      encoder.on('frame', (raw, streamMs) => this.#takeAudio(raw, streamMs));
      encoder.on('failed', (error) => this.#fail(error));
      this.#encoder = encoder;
    }
    await this.#readAudio(track, publisher, (payload, rtpTimestamp, streamMs) =>
      this.#encoder?.encode(payload, rtpTimestamp, streamMs),
    );
  }

  async #passAudio(track: AudioTrack, publisher: Publisher): Promise<void> {
    if (track.codec !== 'opus')
      throw new GatewayError('ENCODER_FAILED', `The publisher sends ${track.codec.toUpperCase()} audio now, not Opus.`);
    await this.#readAudio(track, publisher, (payload, _rtpTimestamp, streamMs) => {
      if (opusPacketSamples(payload) > 0) this.#takeAudio(payload, streamMs);
    });
  }

  async #readAudio(
    track: AudioTrack,
    publisher: Publisher,
    take: (payload: Buffer, rtpTimestamp: number, streamMs: number) => void,
  ): Promise<void> {
    const input = await createAudioInput(track, this.#time, take);
    if (this.#isCurrent(publisher)) this.#audio = input;
    else input.close();
  }

  async #attachVideo(track: VideoTrack, publisher: Publisher): Promise<void> {
    const input = await VideoInput.create(track, this.#time, this.#maxFrameSize, this.#videoSink);
    if (!this.#isCurrent(publisher)) return input.close();
    this.#video = input;
    this.#keyFrames.start(tickMs(), KeyFramePace.of(track));
  }

  /** The publisher may have gone while a track was subscribed to. */
  #isCurrent(publisher: Publisher): boolean {
    return !this.#closed && this.#publisher === publisher;
  }

  #detach(): void {
    if (this.#publisher) this.#wasLost = true;
    this.#publisher = undefined;
    this.#audio?.close();
    this.#video?.close();
    this.#audio = undefined;
    this.#video = undefined;
    this.#report(undefined);
  }

  #resize(size: FrameSize): void {
    // The stream forgets the size with its publisher; the renditions keep theirs while it does not change.
    this.#stream.resize(size);
    if (this.#videoCodec === 'h264') this.#metadata = { ...this.#metadata, videoCodecId: AVC_CODEC_ID };
    if (size.width === this.#metadata.width && size.height === this.#metadata.height) return;
    this.#metadata = { ...this.#metadata, ...size };
    this.emit('sized');
  }

  #tick(nowMs: number): void {
    this.#audio?.poll(nowMs);
    this.#video?.poll(nowMs);
    if (this.#video) {
      this.#keyFrames.tick(nowMs);
      this.#report(this.#video.unusable);
    }
    const presentMs = this.#time.presentMs(nowMs);
    if (presentMs === undefined) return;
    const delayMs = this.#time.audioDelayMs();
    for (const line of this.#audioLines()) line.fill(presentMs, this.#audio !== undefined, delayMs);
  }

  #takeAudio(raw: Buffer, streamMs: number): void {
    for (const line of this.#audioLines()) line.live(raw, streamMs);
  }

  #audioLines(): AudioLine[] {
    if (this.listenerCount('completeAudio') === 0) this.#completeLine = undefined;
    else
      this.#completeLine ??= new AudioLine(
        this.#options.audioBatchMs,
        (tag) => this.emit('completeAudio', tag),
        this.#audioFormat,
        BURST_MS,
      );
    return this.#completeLine ? [this.#audioLine, this.#completeLine] : [this.#audioLine];
  }

  /** @param why the video of the publisher cannot be used */
  #report(why: string | undefined): void {
    if (why === this.#unusable) return;
    this.#unusable = why;
    const problem = why === undefined ? undefined : new GatewayError('VIDEO_UNUSABLE', `${UNUSABLE} ${why}.`);
    this.#stream.reportVideo(problem);
    if (problem) this.#warn(problem.message);
  }

  #warn(message: string): void {
    this.#options.logger.warn({ streamName: this.#stream.name }, message);
  }

  #fail(error: unknown): void {
    if (this.#closed || this.#failed) return;
    this.#failed = true;
    this.emit('failed', toGatewayError(error, 'ENCODER_FAILED'));
  }
}

/** Half a second of 3 Mbit/s, or seconds of less. */
const RECENT_BYTES = 192 * 1024;
/** FLV's number of H.264. */
const AVC_CODEC_ID = 7;

const UNUSABLE = 'The video of the publisher cannot be used:';
const NO_KEY_FRAME =
  'The publisher has sent no key frame for 12 s, although it was asked to. There is no video until one ' +
  'arrives; an H.264 key frame needs its parameter sets (SPS, PPS).';
