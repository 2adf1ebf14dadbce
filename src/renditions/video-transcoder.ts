import { toGatewayError, type GatewayError } from '../errors.ts';
import { toH264, type VideoOutput } from '../ffmpeg/ffmpeg-args.ts';
import { ivfFrameHeader, ivfHeader } from '../media/containers/ivf.ts';
import { SupervisedFfmpeg, type CommandSource } from '../ffmpeg/supervised-ffmpeg.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../media/containers/flv-writer.ts';
import type { Logger } from '../observe/logger.ts';
import { listen } from '../runtime/listen.ts';
import type { FrameSize, VideoCodec } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { encoderRate, exceedsRate, USUAL_RATE, videoOutput, type EncodeProfile } from './encode-profile.ts';
import { AudioLead } from './audio-lead.ts';
import { EncoderClock } from './encoder-clock.ts';
import { DEFAULT_MAX_FRAME_SIZE, decoderPixels } from './frame-limit.ts';
import { GroupOfFrames, type GroupFrame } from './group-of-frames.ts';
import { LiveRendition } from './live-rendition.ts';
import { OutputWatch } from './output-watch.ts';
import type { Rendition } from './rendition.ts';
import { FOURCC, type MediaSource } from './media-source.ts';
import { RECENT_MS } from './recent-tags.ts';
import { shownSizeOf, spsOf } from './shown-size.ts';
import { inBackground } from '../runtime/in-background.ts';

export interface VideoTranscoderOptions {
  /** Kilobits per second; 0: by height. */
  readonly bitrate: number;
  /** The largest frame that the source passes on. */
  readonly maxFrameSize?: FrameSize;
  /** Called once, when the encoder is closed or has failed. */
  readonly onEnded?: () => void;
  readonly logger: Logger;
}

/**
 * Without a height in the profile, the canvas grows to the source's frame size once that has been stable for this time,
 * in milliseconds. Browsers ramp up in two or three steps within seconds, and each new canvas costs a short gap and a
 * sequence header. Until then larger frames are scaled down. The canvas never shrinks.
 */
const GROW_AFTER_MS = 2000;

/**
 * A stream in another encoding: its frames are encoded by one ffmpeg, its audio is passed through. Timestamps are kept,
 * so both stay in sync. The source may change its codec and size.
 */
export class VideoTranscoder extends LiveRendition implements Rendition {
  readonly #profile: EncodeProfile;
  readonly #options: VideoTranscoderOptions;
  readonly #leaveSource: () => void;
  #ffmpeg: SupervisedFfmpeg | undefined;
  /** What ffmpeg reads and makes. */
  #codec: VideoCodec | undefined;
  #output: VideoOutput | undefined;
  #growth: NodeJS.Timeout | undefined;
  readonly #watch: OutputWatch;
  #reader = new FlvReader();
  /** What the next ffmpeg starts with. */
  readonly #group = new GroupOfFrames();
  /** Audio that waits for its first frames; `undefined` once it passes. */
  #waitingAudio: AudioLead | undefined;
  readonly #clock: EncoderClock;
  #metadata: StreamMetadata | undefined;
  #videoHeader: FlvTag | undefined;
  #hasVideo: boolean;
  #ended = false;
  #closed = false;

  constructor(source: MediaSource, profile: EncodeProfile, options: VideoTranscoderOptions) {
    super(source);
    this.#profile = profile;
    this.#options = options;
    this.#clock = new EncoderClock(profile.fps !== undefined && profile.fps > 0);
    this.#watch = new OutputWatch(profile.fps ? 1000 / profile.fps : 0);
    this.#hasVideo = this.hasVideo;
    if (this.#hasVideo) this.#waitingAudio = new AudioLead();
    this.#leaveSource = listen(source, {
      audio: (tag) => this.#takeAudio(tag),
      video: (tag) => this.#takePassedTag(tag),
      frame: (frame) => this.#take(frame),
      failed: (error) => this.#fail(error),
      resumed: () => this.#resume(),
      sized: () => this.#growSoon(),
    });
    this.#begin(source.recentFrames?.() ?? []);
    this.#open();
    source.requestKeyFrame();
  }

  get metadata(): StreamMetadata {
    return this.#metadata ?? this.source.metadata;
  }

  get encoderOutput(): VideoOutput | undefined {
    return this.#output;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#videoHeader;
  }

  /**
   * The encoder's key frames follow the source's, except with a fixed interval: then the next one comes without a
   * request.
   */
  requestKeyFrame(): void {
    this.source.requestKeyFrame();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaveSource();
    clearTimeout(this.#growth);
    this.discard();
    this.#end();
    await this.#ffmpeg?.close();
  }

  /** The decoder needs what precedes; outputs that begin now must not, unless it is as recent as for other outputs. */
  #begin(frames: readonly GroupFrame[]): void {
    for (const frame of frames) this.#group.add(frame);
    const [first, last] = [frames[0], frames.at(-1)];
    if (first && last && last.timestamp - first.timestamp > RECENT_MS) this.#clock.beginAfter(last.timestamp);
  }

  /** Starts ffmpeg as soon as the size of the source is known, because the canvas depends on it. */
  #open(): void {
    const size = shownSizeOf(this.source);
    const codec = this.source.videoCodec;
    if (this.#ffmpeg || !size || !codec) return;
    const command = this.#command(codec, this.#canvas(size));
    const ffmpeg = new SupervisedFfmpeg(command, 'video encoder', this.#options.logger);
    this.#ffmpeg = ffmpeg;
    ffmpeg.on('started', () => {
      this.#reader = new FlvReader();
      this.#watch.begin();
      this.#clock.restart();
      this.startOver();
      this.#writeHeader(ffmpeg);
      this.#catchUp();
    });
    ffmpeg.on('output', (chunk) => this.#takeOutput(chunk));
    ffmpeg.on('failed', (error) => this.#fail(error));
    inBackground(ffmpeg.start());
  }

  #writeHeader(ffmpeg: SupervisedFfmpeg): void {
    const codec = this.#codec!;
    // A size for the header; each key frame has its own.
    const { width, height } = this.#output!;
    if (codec === 'h264') ffmpeg.write(flvHeader({ audio: false, video: true }));
    else ffmpeg.write(ivfHeader({ fourcc: FOURCC[codec], width, height, timebase: [1, 1000] }));
  }

  /** The output for a source of this size. */
  #canvas(source: FrameSize): VideoOutput {
    const output = videoOutput(this.#profile, source, this.#options.bitrate, this.#rate());
    this.#output = output;
    this.#metadata = {
      ...this.source.metadata,
      width: output.width,
      height: output.height,
      videoBitrate: output.bitrate,
      videoCodecId: 7,
      ...(output.fps ? { frameRate: output.fps } : {}),
    };
    return output;
  }

  /** The rate of the source. It never falls: slower frames cost less than an encoder that is started again. */
  #rate(): number {
    const { frameRate } = this.source;
    const measured = frameRate === undefined ? USUAL_RATE : encoderRate(frameRate);
    return Math.max(measured, this.#output?.rate ?? 0);
  }

  #command(codec: VideoCodec, output: VideoOutput): CommandSource {
    this.#codec = codec;
    const maxPixels = decoderPixels(this.#options.maxFrameSize ?? DEFAULT_MAX_FRAME_SIZE);
    const container = codec === 'h264' ? 'flv' : 'ivf';
    return () => toH264(container, output, maxPixels, this.#clock.sentMs);
  }

  /** Gives a new ffmpeg the frames since the last key frame. Without them it starts with the next one. */
  #catchUp(): void {
    const frames = this.#clock.canRepeat ? this.#group.frames() : [];
    if (frames.length === 0) return this.source.requestKeyFrame();
    const parts = frames.flatMap((frame) => this.#input(frame));
    this.#ffmpeg!.prime(...parts);
  }

  /** The decoder starts again. The output keeps its size, so its sequence header is usually the same. */
  #resume(): void {
    if (this.#closed) return;
    this.#group.clear();
    const codec = this.source.videoCodec;
    if (this.#ffmpeg && this.#output && codec)
      inBackground(this.#ffmpeg.replace(codec === this.#codec ? undefined : this.#command(codec, this.#output)));
    if (this.hasVideo === this.#hasVideo) return;
    this.#hasVideo = this.hasVideo;
    if (!this.#hasVideo) this.#passAudio();
    this.emit('format');
  }

  #growSoon(): void {
    if (this.#profile.height !== undefined) return;
    clearTimeout(this.#growth);
    this.#growth = setTimeout(() => this.#grow(), GROW_AFTER_MS);
  }

  #grow(): void {
    const size = shownSizeOf(this.source);
    const codec = this.source.videoCodec;
    if (size && codec && this.#isLarger(size)) this.#enlarge(size, codec);
  }

  /** The source has more frames than the encoder reckons with: its bitrate and its level are too high for them. */
  #speedUp(): void {
    const { frameRate, videoCodec } = this.source;
    if (this.#profile.fps || !this.#output || !videoCodec) return;
    if (frameRate === undefined || !exceedsRate(frameRate, this.#output.rate)) return;
    const size = shownSizeOf(this.source);
    this.#enlarge(size && this.#isLarger(size) ? size : this.#output, videoCodec);
  }

  #isLarger({ width, height }: FrameSize): boolean {
    const output = this.#output;
    return this.#profile.height === undefined && !!output && width * height > output.width * output.height;
  }

  #enlarge({ width, height }: FrameSize, codec: VideoCodec): void {
    inBackground(this.#ffmpeg?.replace(this.#command(codec, this.#canvas({ width, height }))));
  }

  #takePassedTag(tag: FlvTag): void {
    if (tag.sequenceHeader) {
      this.#open();
      // The shape of the samples may have changed.
      this.#growSoon();
      const timestamp = this.#clock.toEncoder(tag.timestamp);
      if (this.#ffmpeg?.running && this.#clock.isFed) this.#ffmpeg.write(...this.#tagBytes({ ...tag, timestamp }));
    } else this.#take(tag);
  }

  #take(frame: GroupFrame): void {
    this.#group.add(frame);
    this.#open();
    if (!this.#ffmpeg?.running || (!this.#clock.isFed && !frame.keyFrame)) return;
    this.#ffmpeg.write(...this.#input(frame));
    this.#watchOutput();
  }

  /** A frame as ffmpeg reads it. */
  #input({ timestamp, keyFrame, data }: GroupFrame): Buffer[] {
    const isFirst = !this.#clock.isFed;
    const timeMs = this.#clock.feed(timestamp);
    if (this.#codec !== 'h264') return [ivfFrameHeader(data.length, timeMs), data];
    const frame = this.#tagBytes({ type: TAG_VIDEO, timestamp: timeMs, data, keyFrame, sequenceHeader: false });
    const header = isFirst && this.source.videoHeader;
    return header ? [...this.#tagBytes({ ...header, timestamp: timeMs }), ...frame] : frame;
  }

  #tagBytes(tag: FlvTag): Buffer[] {
    // The first frames of a stream may be decoded before it begins, if they are reordered. FLV has no such times.
    const { head, tail } = flvTagParts({ ...tag, timestamp: Math.max(0, tag.timestamp) });
    return [head, tag.data, tail];
  }

  #takeAudio(tag: FlvTag): void {
    if (this.#waitingAudio?.add(tag)) return;
    this.#passAudio();
    this.collect([tag]);
  }

  /** Audio no longer waits. */
  #passAudio(): void {
    const tags = this.#waitingAudio?.all() ?? [];
    this.#waitingAudio = undefined;
    if (tags.length > 0) this.collect(tags);
  }

  #watchOutput(): void {
    this.#speedUp();
    if (this.#watch.fed(this.#clock.fedMs, tickMs()))
      inBackground(this.#ffmpeg!.restart('it hangs: it produced no output'));
  }

  #takeOutput(chunk: Buffer): void {
    try {
      const tags = this.#reader
        .push(chunk)
        .filter((tag) => tag.type === TAG_VIDEO && this.#isNew(tag))
        .map((tag) => ({ ...tag, timestamp: this.#clock.toStream(tag) }));
      if (tags.length === 0) return;
      this.#watch.produced();
      this.send(this.#waitingAudio?.join(tags) ?? tags);
      if (this.#waitingAudio?.isCaughtUp) this.#passAudio();
    } catch (error) {
      inBackground(this.#ffmpeg?.restart(toGatewayError(error).message));
    }
  }

  /** Keeps sequence headers. A restarted encoder repeats the same one, and destinations need only different ones. */
  #isNew(tag: FlvTag): boolean {
    if (!tag.sequenceHeader) return true;
    if (this.#videoHeader?.data.equals(tag.data)) return false;
    this.#videoHeader = tag;
    const { width, height } = spsOf(tag) ?? {};
    if (width && height) this.#metadata = { ...this.#metadata, width, height };
    return true;
  }

  #fail(error: GatewayError): void {
    this.#end();
    this.emit('failed', error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#options.onEnded?.();
  }
}
