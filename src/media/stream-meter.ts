import { parseSps } from './codecs/avc.ts';
import { parseAudioSpecificConfig } from './codecs/aac.ts';
import { FLV_AUDIO_CODEC_IDS, type FlvAudioFormat } from './containers/audio-tag.ts';
import { OPUS_SAMPLE_RATE } from './codecs/opus-packet.ts';
import { ENHANCED_HEADER_BYTES, fourccOf, type Fourcc } from './containers/enhanced-tag.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from './containers/flv-tag.ts';
import { beginsBFrame } from './rtp/h264.ts';

/** A stream as its tags show it, over the last seconds. */
export interface StreamMeasure {
  /** Milliseconds of media that have been measured, at most {@link WINDOW_MS}. */
  readonly windowMs: number;
  readonly video?: VideoMeasure;
  readonly audio?: AudioMeasure;
}

export interface VideoMeasure {
  readonly codec: string;
  /** Pixels, of the current frames; 0 while unknown. */
  readonly width: number;
  readonly height: number;
  /** Frames per second. */
  readonly frameRate: number;
  /** Kilobits per second. */
  readonly bitrate: number;
  /** The largest bitrate of one second. */
  readonly peakBitrate: number;
  /** The longest time between two key frames, or since the last one, in milliseconds. */
  readonly keyFrameIntervalMs: number;
  /** H.264's profile_idc and level_idc. */
  readonly profile?: number;
  readonly compatibility?: number;
  readonly level?: number;
  readonly bFrames: boolean;
}

export interface AudioMeasure {
  readonly codec: string;
  /** Hertz; 0 while unknown. */
  readonly sampleRate: number;
  readonly channels: number;
  /** Kilobits per second. */
  readonly bitrate: number;
}

export const WINDOW_MS = 10_000;
/** Shorter measurements say nothing about rates. */
const LEAST_MS = 1000;
/** Tags of 10 s at 120 frames per second with audio, and room for stalls that arrive at once. */
const MAX_SAMPLES = 4096;
/** Larger steps of a timestamp are another timeline, not a pause. */
const MAX_STEP_MS = 60_000;

const CODEC_AVC = 7;
const AVC_BODY = 5;
const NAL_SLICE = 1;
const MAX_NAL_UNITS = 8;
const SPS_LENGTH = AVC_BODY + 6;
/** Codecs whose tags have a fixed rate and one channel. */
const NO_FORMAT = { sampleRate: 0, channels: 0 };
const PLAIN_RATES: Readonly<Record<Exclude<FlvAudioFormat, 'aac'>, number>> = { pcma: 8000, pcmu: 8000, speex: 16_000 };

interface Sample {
  readonly ms: number;
  readonly bytes: number;
}

interface Track {
  samples: Sample[];
}

/** Measures a stream by its FLV tags. Costs a few comparisons for each tag; the rest is computed when it is read. */
export class StreamMeter {
  readonly #video: Track = { samples: [] };
  readonly #audio: Track = { samples: [] };
  /** Times of the key frames in the window, and of the last one before it. */
  #keyFrames: number[] = [];
  #firstFrameMs: number | undefined;
  #lastBFrameMs = -Infinity;
  #firstMs: number | undefined;
  #lastMs = 0;
  #videoHeader: FlvTag | undefined;
  #videoCodec = '';
  #audioHeader: Buffer | undefined;
  #audioCodec = '';
  /** Until the next tag. */
  #measured: StreamMeasure | undefined;

  /** Takes the next tag. Headers that were sent before the meter began are to be given first. */
  take(tag: FlvTag): void {
    if (tag.data.length === 0) return;
    this.#measured = undefined;
    if (tag.sequenceHeader) return this.#takeHeader(tag);
    if (tag.type !== TAG_VIDEO && tag.type !== TAG_AUDIO) return;
    if (this.#firstMs === undefined || Math.abs(tag.timestamp - this.#lastMs) > MAX_STEP_MS) this.reset(tag.timestamp);
    this.#lastMs = Math.max(this.#lastMs, tag.timestamp);
    const sample = { ms: tag.timestamp, bytes: tag.data.length };
    if (tag.type === TAG_AUDIO) {
      this.#audioCodec = audioCodecOf(tag);
      return this.#add(this.#audio, sample);
    }
    this.#videoCodec = videoCodecOf(tag);
    this.#firstFrameMs ??= tag.timestamp;
    this.#add(this.#video, sample);
    if (tag.keyFrame) this.#keyFrames.push(tag.timestamp);
    else if (this.#videoCodec === H264 && hasBFrame(tag.data)) this.#lastBFrameMs = tag.timestamp;
    while (this.#keyFrames.length > 1 && this.#keyFrames[1]! < this.#lastMs - WINDOW_MS) this.#keyFrames.shift();
  }

  /** What follows is not to be compared with what came before: the publisher was away. Headers are kept. */
  reset(nowMs?: number): void {
    this.#measured = undefined;
    this.#video.samples = [];
    this.#audio.samples = [];
    this.#keyFrames = [];
    this.#firstFrameMs = undefined;
    this.#lastBFrameMs = -Infinity;
    this.#firstMs = nowMs;
    this.#lastMs = nowMs ?? 0;
  }

  get windowMs(): number {
    return this.#firstMs === undefined ? 0 : Math.min(this.#lastMs - this.#firstMs, WINDOW_MS);
  }

  measure(): StreamMeasure {
    return (this.#measured ??= this.#measure());
  }

  #measure(): StreamMeasure {
    const { windowMs } = this;
    const fromMs = this.#lastMs - windowMs;
    const video = this.#recent(this.#video);
    const audio = this.#recent(this.#audio);
    // Rates are measured from a sample to another: what came with the first one belongs to the time before it.
    const spanMs = Math.max(windowMs, LEAST_MS);
    return {
      windowMs,
      ...(video.length > 0 && { video: this.#measureVideo(video, fromMs, spanMs) }),
      ...(audio.length > 0 && { audio: { ...this.#audioFormatOf(), bitrate: kbps(audio, spanMs) } }),
    };
  }

  #measureVideo(samples: readonly Sample[], fromMs: number, spanMs: number): VideoMeasure {
    const header = this.#videoHeader;
    const sps = header && this.#videoCodec === H264 ? spsOf(header.data) : undefined;
    const { width = 0, height = 0 } = sps ?? header?.frameSize ?? {};
    const videoSpanMs = Math.max(samples.at(-1)!.ms - samples[0]!.ms, 1);
    // Frames that stopped coming count as missing.
    const silentMs = this.#lastMs - samples.at(-1)!.ms;
    const frames = samples.length - 1;
    return {
      codec: this.#videoCodec,
      width,
      height,
      frameRate: (frames * 1000) / (silentMs > LEAST_MS ? videoSpanMs + silentMs : videoSpanMs),
      bitrate: kbps(samples, spanMs),
      peakBitrate: peakKbps(samples, fromMs),
      keyFrameIntervalMs: this.#longestInterval(fromMs, samples.at(-1)!.ms),
      ...(sps && { profile: sps.profile, compatibility: sps.compatibility, level: sps.level }),
      bFrames: this.#lastBFrameMs >= fromMs,
    };
  }

  /** Includes what was seen of the interval before the first key frame, and of the one that has not ended yet, as long as
   * frames come. */
  #longestInterval(fromMs: number, lastFrameMs: number): number {
    const firstMs = this.#firstFrameMs ?? fromMs;
    const begins = this.#keyFrames.length === 0 || firstMs >= fromMs ? [firstMs] : [];
    const times = [...begins, ...this.#keyFrames, lastFrameMs];
    return times.slice(1).reduce((longest, ms, index) => Math.max(longest, ms - times[index]!), 0);
  }

  #audioFormatOf(): Pick<AudioMeasure, 'codec' | 'sampleRate' | 'channels'> {
    const codec = this.#audioCodec;
    if (codec === 'aac') {
      return { codec, ...(this.#audioHeader ? parseAudioSpecificConfig(this.#audioHeader) : NO_FORMAT) };
    }
    if (codec === OPUS)
      return { codec, sampleRate: OPUS_SAMPLE_RATE, channels: this.#audioHeader?.[OPUS_CHANNELS_AT] ?? 0 };
    return { codec, sampleRate: PLAIN_RATES[codec as keyof typeof PLAIN_RATES] ?? 0, channels: 1 };
  }

  #takeHeader(tag: FlvTag): void {
    if (tag.type === TAG_VIDEO) this.#videoHeader = tag;
    else if (tag.type === TAG_AUDIO) this.#audioHeader = Buffer.from(tag.data.subarray(2));
  }

  #add(track: Track, sample: Sample): void {
    track.samples.push(sample);
    // Now and then, so that each tag costs a push.
    if (track.samples.length >= MAX_SAMPLES) track.samples = this.#recent(track).slice(-MAX_SAMPLES / 2);
  }

  #recent(track: Track): Sample[] {
    const fromMs = this.#lastMs - WINDOW_MS;
    if (track.samples.length > 0 && track.samples[0]!.ms < fromMs)
      track.samples = track.samples.filter(({ ms }) => ms >= fromMs);
    return track.samples;
  }
}

const H264 = 'h264';
const OPUS = 'opus';
/** In the sequence header without its first two bytes. */
const OPUS_CHANNELS_AT = ENHANCED_HEADER_BYTES - 2 + 9;
const TITLES: Readonly<Record<Fourcc, string>> = { vp08: 'vp8', vp09: 'vp9', av01: 'av1', Opus: OPUS };

function videoCodecOf(tag: FlvTag): string {
  const fourcc = fourccOf(tag);
  if (fourcc) return TITLES[fourcc] ?? fourcc;
  const codec = tag.data[0]! & 0x0f;
  return codec === CODEC_AVC ? H264 : `flv codec ${codec}`;
}

function audioCodecOf(tag: FlvTag): string {
  const fourcc = fourccOf(tag);
  if (fourcc) return TITLES[fourcc] ?? fourcc;
  const format = tag.data[0]! >> 4;
  return FORMATS.get(format) ?? `flv format ${format}`;
}

const FORMATS = new Map<number, string>(Object.entries(FLV_AUDIO_CODEC_IDS).map(([name, id]) => [id, name]));

const kbps = (samples: readonly Sample[], spanMs: number): number =>
  (samples.reduce((sum, { bytes }) => sum + bytes, 0) * 8) / spanMs;

function peakKbps(samples: readonly Sample[], fromMs: number): number {
  const seconds = new Map<number, number>();
  for (const { ms, bytes } of samples) {
    const second = Math.floor((ms - fromMs) / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + bytes);
  }
  return (Math.max(0, ...seconds.values()) * 8) / 1000;
}

function spsOf(header: Buffer): ReturnType<typeof parseSps> {
  if (header.length < SPS_LENGTH + 2) return undefined;
  const start = SPS_LENGTH + 2;
  return parseSps(header.subarray(start, start + header.readUInt16BE(SPS_LENGTH)));
}

/** Whether a frame begins with a B slice, or is shown at another time than it is decoded. */
function hasBFrame(data: Buffer): boolean {
  if (data.length < AVC_BODY) return false;
  if (data.readIntBE(2, 3) !== 0) return true;
  let at = AVC_BODY;
  for (let i = 0; i < MAX_NAL_UNITS && at + 6 <= data.length; i++) {
    if ((data[at + 4]! & 0x1f) === NAL_SLICE) return beginsBFrame(data[at + 5]!);
    at += 4 + data.readUInt32BE(at);
  }
  return false;
}
