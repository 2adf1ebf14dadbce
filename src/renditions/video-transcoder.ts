import { toGatewayError, type GatewayError } from '../errors.ts';
import { toH264, type FfmpegCommandLine, type VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import { ivfFrameHeader, ivfHeader } from '../media/containers/ivf.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { parseSps } from '../media/codecs/avc.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../media/containers/flv-writer.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import type { Logger } from '../observe/logger.ts';
import type { FrameSize, VideoCodec } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { videoOutput, type EncodeProfile } from './encode-profile.ts';
import { LiveRendition } from './live-rendition.ts';
import { OutputWatch } from './output-watch.ts';
import type { Rendition } from './rendition.ts';
import { FOURCC, type SourceFrame, type SourceRendition } from './source-rendition.ts';

export interface VideoTranscoderOptions {
  /** Kilobits per second; 0: by height. */
  readonly bitrate: number;
  readonly logger: Logger;
}

/**
 * Without a height the canvas grows with the source's frames, once these have kept their size for so long: a browser's ramp-up takes two or three steps within seconds, and each new
 * canvas costs a moment without frames and a sequence header. Until then they are made smaller, which nobody minds. It never shrinks. Milliseconds.
 */
const GROW_AFTER_MS = 2000;

/**
 * With a frame rate ffmpeg repeats a frame until the next one comes. Of a longer pause no more is repeated, for all of it would come at once, when it is over. Milliseconds.
 */
const LONGEST_REPEAT_MS = 2000;

/** Where the configuration record starts in an AVC sequence header, and its first parameter set in there (ISO 14496-15, 5.2.4.1). */
const AVC_SPS_LENGTH = 5 + 6;

/**
 * The source in another encoding: its frames go through one ffmpeg, its audio past it. Timestamps are kept, so both stay
 * together. Several transponders share one by profile.
 */
export class VideoTranscoder extends LiveRendition implements Rendition {
  readonly #source: SourceRendition;
  readonly #profile: EncodeProfile;
  readonly #options: VideoTranscoderOptions;
  readonly #onTags = (group: TagGroup): void => this.#takeTags(group);
  readonly #onFrame = (frame: SourceFrame): void => this.#takeFrame(frame);
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  readonly #onSized = (): void => this.#growSoon();
  readonly #onResumed = (): void => void this.#ffmpeg?.replace();
  #ffmpeg: SupervisedFfmpeg | undefined;
  /** What ffmpeg makes. */
  #output: VideoOutput | undefined;
  #growth: NodeJS.Timeout | undefined;
  readonly #watch: OutputWatch;
  #reader = new FlvReader();
  /** Times of the latest frame that was given to ffmpeg, and of what came out last. */
  #fedMs = 0;
  #outMs = -1;
  /** By so much ffmpeg's time is behind the stream's, for pauses that were left out of it. */
  #leftOutMs = 0;
  /** ffmpeg starts at a key frame. */
  #fed = false;
  #metadata: StreamMetadata | undefined;
  #videoHeader: FlvTag | undefined;
  #closed = false;

  constructor(source: SourceRendition, profile: EncodeProfile, options: VideoTranscoderOptions) {
    super();
    this.#source = source;
    this.#profile = profile;
    this.#options = options;
    this.#watch = new OutputWatch(profile.fps ? 1000 / profile.fps : 0);
    source.on('tags', this.#onTags);
    source.frames.on('frame', this.#onFrame);
    source.on('failed', this.#onFailed);
    source.frames.on('resumed', this.#onResumed);
    source.frames.on('sized', this.#onSized);
    this.#open();
    source.requestKeyFrame();
  }

  get metadata(): StreamMetadata {
    return this.#metadata ?? this.#source.metadata;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#videoHeader;
  }

  get audioHeader(): FlvTag {
    return this.#source.audioHeader;
  }

  get hasVideo(): boolean {
    return this.#source.hasVideo;
  }

  /** Where key frames follow the source's, a new one can be had; with a fixed interval the next one comes by itself. */
  requestKeyFrame(): void {
    this.#source.requestKeyFrame();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#source.off('tags', this.#onTags);
    this.#source.frames.off('frame', this.#onFrame);
    this.#source.off('failed', this.#onFailed);
    this.#source.frames.off('resumed', this.#onResumed);
    this.#source.frames.off('sized', this.#onSized);
    clearTimeout(this.#growth);
    await this.#ffmpeg?.close();
  }

  /** Starts ffmpeg as soon as the size of the source is known, for the canvas follows from it. */
  #open(): void {
    const { width, height } = this.#source.metadata;
    const codec = this.#source.videoCodec;
    if (this.#ffmpeg || !width || !height || !codec) return;
    const ffmpeg = new SupervisedFfmpeg(this.#command(codec, { width, height }), 'video encoder', this.#options.logger);
    this.#ffmpeg = ffmpeg;
    ffmpeg.on('started', () => {
      this.#reader = new FlvReader();
      this.#watch.begin();
      this.#fed = false;
      this.startOver();
      if (codec === 'h264') ffmpeg.write(flvHeader({ audio: false, video: true }));
      else ffmpeg.write(ivfHeader({ fourcc: FOURCC[codec], width, height, timebase: [1, 1000] }));
      this.#source.requestKeyFrame();
    });
    ffmpeg.on('output', (chunk) => this.#takeOutput(chunk));
    ffmpeg.on('failed', (error) => this.emit('failed', error));
    void ffmpeg.start();
  }

  #command(codec: VideoCodec, source: FrameSize): FfmpegCommandLine {
    const output = videoOutput(this.#profile, source, this.#options.bitrate);
    this.#output = output;
    this.#metadata = {
      ...this.#source.metadata,
      width: output.width,
      height: output.height,
      videoBitrate: output.bitrate,
      videoCodecId: 7,
      ...(output.fps ? { frameRate: output.fps } : {}),
    };
    return toH264(codec === 'h264' ? 'flv' : 'ivf', output);
  }

  #growSoon(): void {
    if (this.#profile.height !== undefined) return;
    clearTimeout(this.#growth);
    this.#growth = setTimeout(() => this.#grow(), GROW_AFTER_MS);
  }

  #grow(): void {
    const { width, height } = this.#source.metadata;
    const codec = this.#source.videoCodec;
    const output = this.#output;
    if (!output || !width || !height || !codec || width * height <= output.width * output.height) return;
    void this.#ffmpeg?.replace(this.#command(codec, { width, height }));
  }

  #takeTags({ tags }: TagGroup): void {
    for (const tag of tags) if (tag.type === TAG_VIDEO) this.#takePassedFrame(tag);
    const others = tags.filter((tag) => tag.type !== TAG_VIDEO);
    if (others.length > 0) this.send(others);
  }

  #takePassedFrame(tag: FlvTag): void {
    this.#open();
    if (!this.#ffmpeg?.running) return;
    const timestamp = this.#encoderTime(tag.timestamp);
    if (!this.#fed) {
      if (!tag.keyFrame || tag.sequenceHeader) return;
      this.#fed = true;
      if (this.#source.videoHeader) this.#writeTag({ ...this.#source.videoHeader, timestamp });
    }
    this.#writeTag({ ...tag, timestamp });
    this.#watchOutput(tag.timestamp);
  }

  #writeTag(tag: FlvTag): void {
    const { head, tail } = flvTagParts(tag);
    this.#ffmpeg!.write(head, tag.data, tail);
  }

  #takeFrame(frame: SourceFrame): void {
    this.#open();
    if (!this.#ffmpeg?.running) return;
    if (!this.#fed && !frame.keyFrame) return;
    const timestamp = this.#encoderTime(frame.timestamp);
    this.#fed = true;
    this.#ffmpeg.write(ivfFrameHeader(frame.data.length, timestamp), frame.data);
    this.#watchOutput(frame.timestamp);
  }

  #encoderTime(streamMs: number): number {
    if (this.#profile.fps && this.#fed) this.#leftOutMs += Math.max(0, streamMs - this.#fedMs - LONGEST_REPEAT_MS);
    return streamMs - this.#leftOutMs;
  }

  #watchOutput(fedMs: number): void {
    this.#fedMs = fedMs;
    if (this.#watch.fed(fedMs, tickMs())) void this.#ffmpeg!.restart('it hangs: nothing came out of it any more');
  }

  #takeOutput(chunk: Buffer): void {
    try {
      const tags = this.#reader
        .push(chunk)
        .filter((tag) => tag.type === TAG_VIDEO && this.#isNews(tag))
        .map((tag) => this.#onTime(tag));
      if (tags.length === 0) return;
      this.#watch.came();
      this.send(tags);
    } catch (error) {
      void this.#ffmpeg?.restart(toGatewayError(error).message);
    }
  }

  /**
   * On the stream's clock: ffmpeg's FLV muxer writes 31 bits of the time, 24.86 days, and 0 for a sequence header. What comes out is near what was given to it. Never back, should a fresh
   * ffmpeg with a constant frame rate begin a little before its first frame.
   */
  #onTime(tag: FlvTag): FlvTag {
    const timestamp = tag.sequenceHeader
      ? Math.max(this.#outMs, 0)
      : Math.max(this.#fedMs + (((tag.timestamp + this.#leftOutMs - this.#fedMs) << 1) >> 1), this.#outMs + 1);
    this.#outMs = timestamp;
    return { ...tag, timestamp };
  }

  /** Takes note of sequence headers. A restarted encoder says the same again; destinations need to hear only what is new. */
  #isNews(tag: FlvTag): boolean {
    if (!tag.sequenceHeader) return true;
    if (this.#videoHeader?.data.equals(tag.data)) return false;
    this.#videoHeader = tag;
    const length = tag.data.readUInt16BE(AVC_SPS_LENGTH);
    const { width, height } = parseSps(tag.data.subarray(AVC_SPS_LENGTH + 2, AVC_SPS_LENGTH + 2 + length)) ?? {};
    if (width && height) this.#metadata = { ...this.#metadata, width, height };
    return true;
  }
}
