import { EventEmitter } from 'node:events';
import { Av1Depacketizer } from '../media/rtp/av1.ts';
import { H264Depacketizer, type AccessUnit } from '../media/rtp/h264.ts';
import { MediaClock } from '../media/rtp/media-clock.ts';
import { MinimumWindow } from '../media/rtp/minimum-window.ts';
import type { RtpPacket } from '../media/rtp/rtp-packet.ts';
import type { VideoFrame } from '../media/rtp/video-frame.ts';
import { Vp8Depacketizer } from '../media/rtp/vp8.ts';
import { Vp9Depacketizer } from '../media/rtp/vp9.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../media/codecs/opus-packet.ts';
import { aacSequenceHeader } from '../media/codecs/aac.ts';
import { avcFrame, avcSequenceHeader, parseSps } from '../media/codecs/avc.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec, AudioTrack, LiveStream, Publisher, VideoCodec, VideoTrack } from '../streams/live-stream.ts';
import { atEndOfTick, tickMs } from '../runtime/tick.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE } from './aac-coder.ts';
import { AudioEncoder } from './audio-encoder.ts';
import type { SharedEncoders } from './shared-encoders.ts';
import { AudioLine } from './audio-line.ts';
import { KeyFrameRequests } from './key-frame-requests.ts';
import { LiveRendition } from './live-rendition.ts';
import type { Rendition } from './rendition.ts';
import { Ticker } from './ticker.ts';
import { TrackInput } from './track-input.ts';
import { WriteMerger } from './write-merger.ts';

/** The codecs that must be re-encoded, as IVF names them. */
export const FOURCC = { vp8: 'VP80', vp9: 'VP90', av1: 'AV01' } as const satisfies Record<
  Exclude<VideoCodec, 'h264'>,
  string
>;

/** A frame that must be re-encoded, on the stream's clock. */
export interface SourceFrame {
  readonly codec: Exclude<VideoCodec, 'h264'>;
  readonly data: Buffer;
  readonly timestamp: number;
  readonly keyFrame: boolean;
}

export interface FrameEvents {
  /** A frame of a stream that is not H.264; there are no video tags then. */
  frame: [frame: SourceFrame];
  /** The publisher came back: the frame goes on after a break. */
  resumed: [];
  /** `metadata` has the size of the frames now, or another one. */
  sized: [];
}

export interface SourceRenditionOptions {
  /** Kilobits per second of AAC. */
  readonly audioBitrate: number;
  /** Milliseconds of sound that are encoded at once. */
  readonly audioBatchMs: number;
  readonly sharedEncoders?: SharedEncoders;
  /** Milliseconds between the key frames that are asked of the publisher. */
  readonly keyFrameIntervalMs: number;
  readonly logger: Logger;
}

/** By so much the sound that libopus decodes is later than its timestamp says: the encoder's look-ahead, 312 samples (RFC 7845, 4.2). */
const OPUS_LOOKAHEAD_MS = 6.5;

/**
 * How much earlier the sound of a packet was made than its clock says. A packet leaves when its last sample is there, and browsers relate
 * the timestamp of its first sample to that moment, in sender reports too.
 */
function captureDelayMs(codec: AudioCodec, payload: Buffer): number {
  return codec === 'opus'
    ? (opusPacketSamples(payload) * 1000) / OPUS_SAMPLE_RATE + OPUS_LOOKAHEAD_MS
    : payload.length / 8;
}

/**
 * For so long the packet that was the least late tells the stream's time, and for twice as long at most: packets only come late, but when the network's delay
 * has grown for good all of them do, and sound that waits for nobody would be taken for late until this is noticed. Milliseconds.
 */
const PRESENT_MS = 1000;

/** Looks after late packets, silence and key frames of all streams, every so many milliseconds. */
const TICK_MS = 40;
const ticker = new Ticker(TICK_MS);

/**
 * A live stream as FLV tags: H.264 passed through, the microphone as AAC, silence where there is none. Everything that is
 * pushed comes from here. Outlives its publisher while the stream is held.
 */
export class SourceRendition extends LiveRendition implements Rendition {
  /** What a video encoder needs beside the tags. */
  readonly frames = new EventEmitter<FrameEvents>();
  readonly #stream: LiveStream;
  readonly #options: SourceRenditionOptions;
  readonly #clock = new MediaClock();
  readonly #audioLine: AudioLine;
  readonly #writes = new WriteMerger((tags) => this.#collect(tags));
  readonly #keyFrames: KeyFrameRequests;
  readonly #stopTicking: () => void;
  readonly #onPublished = (publisher: Publisher): void =>
    void this.#attach(publisher).catch((error: unknown) => {
      // One that is gone again has been lost, and the stream is held for the next.
      if (this.#publisher === publisher) this.#fail(error);
    });
  readonly #onLost = (): void => this.#detach();
  #audio: TrackInput | undefined;
  #video: TrackInput | undefined;
  #encoder: AudioEncoder | undefined;
  #audioCodec: string | undefined;
  #publisher: Publisher | undefined;
  #videoCodec: VideoCodec | undefined;
  #metadata: StreamMetadata = { audioSampleRate: AAC_SAMPLE_RATE, audioChannels: AAC_CHANNELS, audioCodecId: 10 };
  #videoHeader: FlvTag | undefined;
  #lastVideoMs = -1;
  #toldOfBFrames = false;
  /** What goes out when this turn of the event loop is over. */
  #outgoing: FlvTag[] = [];
  /** By how much the stream's clock is behind ours, so that silence knows the time when no packet tells it. */
  readonly #behind = new MinimumWindow(PRESENT_MS);
  #wasLost = false;
  #closed = false;

  readonly audioHeader: FlvTag = {
    type: TAG_AUDIO,
    timestamp: 0,
    data: aacSequenceHeader(AAC_SAMPLE_RATE, AAC_CHANNELS),
    keyFrame: false,
    sequenceHeader: true,
  };

  private constructor(stream: LiveStream, options: SourceRenditionOptions) {
    super();
    this.frames.setMaxListeners(0);
    this.#stream = stream;
    // Of a stream that is held too: who asked for this relies on it.
    this.#videoCodec = stream.videoCodec;
    this.#options = options;
    this.#metadata.audioBitrate = options.audioBitrate;
    this.#audioLine = new AudioLine(options.audioBatchMs, (tag) =>
      this.#writes.sound(tag, tickMs(), this.#video !== undefined && this.#videoCodec === 'h264'),
    );
    this.#keyFrames = new KeyFrameRequests(
      options.keyFrameIntervalMs,
      () => this.#video?.requestKeyFrame(),
      () =>
        options.logger.warn(
          { streamName: stream.name },
          'The publisher has sent no key frame for 12 s, though it was asked to: there is no frame until one comes, of H.264 with its parameter sets (SPS, PPS) before it',
        ),
    );
    stream.on('published', this.#onPublished);
    stream.on('lost', this.#onLost);
    this.#stopTicking = ticker.listen((nowMs) => this.#tick(nowMs));
  }

  static async create(stream: LiveStream, options: SourceRenditionOptions): Promise<SourceRendition> {
    const rendition = new SourceRendition(stream, options);
    try {
      if (stream.publisher) await rendition.#attach(stream.publisher);
    } catch (error) {
      await rendition.close();
      throw error;
    }
    return rendition;
  }

  get metadata(): StreamMetadata {
    return this.#metadata;
  }

  get videoHeader(): FlvTag | undefined {
    return this.#videoHeader;
  }

  get hasVideo(): boolean {
    return this.#videoCodec !== undefined;
  }

  /** The codec that the publisher sends; anything but H.264 arrives as `frame` events. */
  get videoCodec(): VideoCodec | undefined {
    return this.#videoCodec;
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
    if (this.#videoCodec && video && video.codec !== this.#videoCodec)
      throw new GatewayError(
        'ENCODER_FAILED',
        `The publisher came back with ${video.codec} instead of ${this.#videoCodec}. Start the push again.`,
      );
    if (this.#wasLost) this.#resume();
    // Both at once, so that the first sender reports and packets of neither are missed.
    await Promise.all([audio && this.#attachAudio(audio, publisher), video && this.#attachVideo(video, publisher)]);
  }

  #resume(): void {
    this.#wasLost = false;
    this.startOver();
    this.#clock.resume(tickMs());
    this.#encoder?.restart();
    this.frames.emit('resumed');
  }

  async #attachAudio(track: AudioTrack, publisher: Publisher): Promise<void> {
    if (this.#audioCodec !== track.codec) {
      await this.#encoder?.close();
      this.#audioCodec = track.codec;
      const encoder = new AudioEncoder(track.codec, track.clockRate, this.#options);
      encoder.on('frame', (raw, streamMs) => this.#audioLine.live(raw, streamMs));
      encoder.on('failed', (error) => this.#fail(error));
      this.#encoder = encoder;
    }
    const clock = this.#clock.track('audio', track.clockRate);
    const input = await TrackInput.create(track, clock, {
      packet: (packet, nowMs) =>
        this.#encoder?.encode(
          packet.payload,
          packet.timestamp,
          this.#streamTime(clock.toStreamMs(packet.timestamp), nowMs) - captureDelayMs(track.codec, packet.payload),
        ),
      lost: () => {}, // the encoder fills the hole that the timestamps show
    });
    if (this.#keep(input, publisher)) this.#audio = input;
  }

  async #attachVideo(track: VideoTrack, publisher: Publisher): Promise<void> {
    this.#videoCodec = track.codec;
    const clock = this.#clock.track('video', track.clockRate);
    const depacketize = this.#depacketizer(track.codec);
    const input = await TrackInput.create(track, clock, {
      packet: (packet, nowMs) =>
        depacketize.packet(packet, (timestamp) => this.#streamTime(clock.toStreamMs(timestamp), nowMs), nowMs),
      lost: () => {
        depacketize.lost();
        this.#keyFrames.want(tickMs());
      },
    });
    if (!this.#keep(input, publisher)) return;
    this.#video = input;
    this.#keyFrames.start(tickMs());
  }

  /** Whether the subscription is still wanted: the publisher may have gone while it was made. */
  #keep(input: TrackInput, publisher: Publisher): boolean {
    if (!this.#closed && this.#publisher === publisher) return true;
    input.close();
    return false;
  }

  #detach(): void {
    if (this.#publisher) this.#wasLost = true;
    this.#publisher = undefined;
    this.#audio?.close();
    this.#video?.close();
    this.#audio = undefined;
    this.#video = undefined;
  }

  #depacketizer(codec: VideoCodec): {
    packet(packet: RtpPacket, time: (rtp: number) => number, nowMs: number): void;
    lost(): void;
  } {
    if (codec === 'h264') {
      const h264 = new H264Depacketizer();
      return {
        packet: (packet, time, nowMs) => {
          for (const unit of h264.push(packet)) this.#accessUnit(unit, h264, time(unit.timestamp), nowMs);
        },
        lost: () => h264.packetLost(),
      };
    }
    const other =
      codec === 'vp8' ? new Vp8Depacketizer() : codec === 'vp9' ? new Vp9Depacketizer() : new Av1Depacketizer();
    return {
      packet: (packet, time, nowMs) => {
        for (const frame of other.push(packet)) this.#codedFrame(codec, frame, time(frame.timestamp), nowMs);
      },
      lost: () => other.packetLost(),
    };
  }

  #accessUnit(unit: AccessUnit, h264: H264Depacketizer, streamMs: number, nowMs: number): void {
    // A frame that refers to one that is missing would show garbage: nothing until the next key frame.
    if (unit.corrupted || !h264.hasParameterSets) return this.#keyFrames.want(nowMs);
    if (unit.bFrame && !this.#toldOfBFrames) {
      this.#toldOfBFrames = true;
      this.#options.logger.warn(
        { streamName: this.#stream.name },
        'The publisher sends B-frames: their times are lost, and the frame will jerk. Encode without them (bframes=0, baseline or tune=zerolatency)',
      );
    }
    const timestamp = this.#videoTimestamp(streamMs);
    if (unit.keyFrame) {
      this.#keyFrames.arrived(nowMs);
      const { sps, pps } = h264.parameterSets!;
      this.#updateHeader(sps, pps, timestamp, nowMs);
    }
    if (!this.#videoHeader) return;
    const tag: FlvTag = {
      type: TAG_VIDEO,
      timestamp,
      data: avcFrame(unit.nalUnits, unit.keyFrame),
      keyFrame: unit.keyFrame,
      sequenceHeader: false,
    };
    this.#writes.frame(tag, nowMs, this.listenerCount('tags'));
  }

  #updateHeader(sps: Buffer, pps: readonly Buffer[], timestamp: number, nowMs: number): void {
    const data = avcSequenceHeader(sps, [...pps]);
    if (this.#videoHeader?.data.equals(data)) return this.#resize(this.#metadata.width, this.#metadata.height);
    const { width, height } = parseSps(sps) ?? {};
    this.#metadata = { ...this.#metadata, videoCodecId: 7 };
    this.#resize(width, height);
    this.#videoHeader = { type: TAG_VIDEO, timestamp, data, keyFrame: false, sequenceHeader: true };
    this.#writes.header(this.#videoHeader, nowMs);
  }

  #codedFrame(codec: Exclude<VideoCodec, 'h264'>, frame: VideoFrame, streamMs: number, nowMs: number): void {
    if (frame.corrupted) return this.#keyFrames.want(nowMs);
    if (frame.keyFrame) {
      this.#keyFrames.arrived(nowMs);
      this.#resize(frame.width, frame.height);
    }
    this.frames.emit('frame', {
      codec,
      data: frame.data,
      timestamp: this.#videoTimestamp(streamMs),
      keyFrame: frame.keyFrame,
    });
  }

  #resize(width: number | undefined, height: number | undefined): void {
    if (!width || !height) return;
    // The stream forgets it with its publisher; what goes out has the same size as long as it does not change.
    this.#stream.resize({ width, height });
    if (width === this.#metadata.width && height === this.#metadata.height) return;
    this.#metadata = { ...this.#metadata, width, height };
    this.frames.emit('sized');
  }

  /** Whole milliseconds, and never twice the same: some servers take a repeated timestamp for a repeated frame. */
  #videoTimestamp(streamMs: number): number {
    this.#lastVideoMs = Math.max(Math.round(streamMs), this.#lastVideoMs + 1);
    return this.#lastVideoMs;
  }

  /** Notes how far the stream's clock is behind ours. */
  #streamTime(streamMs: number, nowMs: number): number {
    this.#behind.add(nowMs - streamMs, nowMs);
    return streamMs;
  }

  #tick(nowMs: number): void {
    this.#audio?.poll(nowMs);
    this.#video?.poll(nowMs);
    if (this.#video) this.#keyFrames.tick(nowMs);
    const behindMs = this.#behind.minimum;
    if (behindMs < Infinity) this.#audioLine.fill(nowMs - behindMs, this.#audio !== undefined);
    this.#writes.tick(nowMs);
  }

  /** All that one turn brought goes out as one group: after a stall of the network that may be many frames. */
  #collect(tags: FlvTag[]): void {
    if (this.#outgoing.length > 0) return void this.#outgoing.push(...tags);
    this.#outgoing = tags;
    atEndOfTick(this.#release);
  }

  readonly #release = (): void => {
    const tags = this.#outgoing;
    this.#outgoing = [];
    if (!this.#closed) this.send(tags);
  };

  #fail(error: unknown): void {
    if (!this.#closed) this.emit('failed', toGatewayError(error, 'ENCODER_FAILED'));
  }
}
