import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import { isStereoOpus, opusPacketSamples, opusSilence } from '../media/codecs/opus-packet.ts';
import { AAC_SAMPLES_PER_FRAME } from '../media/codecs/aac.ts';
import { silentG711 } from '../media/containers/audio-tag.ts';
import type { Logger } from '../observe/logger.ts';
import { tickMs } from '../runtime/tick.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import type { RtmpAudioCodec } from '../ffmpeg/ffmpeg-audio-args.ts';
import { AAC_SAMPLE_RATE, type AacCoder } from './aac-coder.ts';
import { createFfmpegAacCoder } from './ffmpeg-aac-coder.ts';
import { RealTimeBudget } from './real-time-budget.ts';
import { createFfmpegPlainCoder } from './ffmpeg-plain-coder.ts';
import { PLAIN_FRAME_MS } from './plain-audio-frames.ts';
import type { SharedEncoders } from './shared-encoders.ts';

/** Share of the bitrate for a single channel: two channels have much in common, so one needs more than half. */
const MONO_BITRATE = 3 / 4;

/**
 * Samples of a frame, and of the silence that the encoder puts before the first sample: an AAC encoder one frame, the
 * others none.
 */
const FRAMES = {
  aac: { samples: AAC_SAMPLES_PER_FRAME, priming: AAC_SAMPLES_PER_FRAME },
  plain: { samples: (PLAIN_FRAME_MS * AAC_SAMPLE_RATE) / 1000, priming: 0 },
} as const;
/** A hole up to this length is filled with silence inside the encoder; after a longer one the clock is set anew. */
const MAX_FILL_SAMPLES = AAC_SAMPLE_RATE / 2;
/**
 * No encoder makes a larger packet: an Opus packet has at most 48 frames of 1275 bytes and their lengths (RFC 6716,
 * 3.4).
 */
const MAX_PACKET_BYTES = 62_000;

export interface AudioEncoderOptions {
  /** Kilobits per second of two channels. */
  readonly audioBitrate: number;
  /**
   * Milliseconds of audio that are collected before they are encoded. Waking an encoder for each packet, and being
   * woken by it for each frame, costs as much as the encoding. The timestamps of the frames do not change with it.
   */
  readonly audioBatchMs: number;
  /** Encoders that serve several streams; without them each stream has an ffmpeg. */
  readonly sharedEncoders?: SharedEncoders;
  /** What comes out. Default: AAC. */
  readonly audioCodec?: RtmpAudioCodec;
  readonly logger: Logger;
  /** The wall clock, in milliseconds. */
  readonly now?: () => number;
}

export interface AudioEncoderEvents {
  /**
   * One raw AAC frame, or the tag body of one frame of another codec, and the time of its first sample on the stream's
   * clock, in milliseconds.
   */
  frame: [raw: Buffer, streamMs: number];
  failed: [error: GatewayError];
}

/**
 * Encodes Opus or G.711 packets to AAC frames of two channels. Timestamps bypass the coder: samples are counted on both
 * sides of it. Encodes one channel until the first packet with two arrives. Drops what a publisher sends beyond real
 * time.
 */
export class AudioEncoder extends EventEmitter<AudioEncoderEvents> {
  readonly #codec: AudioCodec;
  readonly #clockRate: number;
  readonly #options: AudioEncoderOptions;
  readonly #now: () => number;
  readonly #budget = new RealTimeBudget();
  #hasExceededBudget = false;
  readonly #plain: Exclude<RtmpAudioCodec, 'aac'> | undefined;
  readonly #frame: (typeof FRAMES)['aac' | 'plain'];
  #stereo = false;
  /** Whether a shared encoder died of this stream's packets: from then on it has an ffmpeg of its own. */
  #alone = false;
  #closed = false;
  #coder: AacCoder;
  /** The end of the coder for a single channel, after it was replaced. */
  #replaced: Promise<void> | undefined;
  /** Stream times of samples of the coder's input; one entry per packet, dropped when its frames are out. */
  #anchors: { sample: number; streamMs: number }[] = [];
  /** Samples given to and frames taken from the running coder, at the AAC's rate. */
  #samplesIn = 0;
  #framesOut = 0;
  #nextRtp: number | undefined;
  /** The stream time of {@link #nextRtp}. */
  #nextStreamMs = 0;

  constructor(codec: AudioCodec, clockRate: number, options: AudioEncoderOptions) {
    super();
    this.#codec = codec;
    this.#clockRate = clockRate;
    this.#options = options;
    this.#now = options.now ?? tickMs;
    const { audioCodec = 'aac' } = options;
    this.#plain = audioCodec === 'aac' ? undefined : audioCodec;
    this.#frame = this.#plain ? FRAMES.plain : FRAMES.aac;
    this.#coder = this.#start();
  }

  /**
   * Encodes one packet.
   *
   * @param rtpTimestamp of its first sample; a jump means a hole
   * @param streamMs the same instant on the stream's clock
   */
  encode(payload: Buffer, rtpTimestamp: number, streamMs: number): void {
    if (this.#closed || payload.length > MAX_PACKET_BYTES) return;
    if (this.#codec === 'opus' && !this.#plain && !this.#stereo && isStereoOpus(payload)) this.#becomeStereo();
    if (!this.#coder.running) return;
    const rate = AAC_SAMPLE_RATE / this.#clockRate;
    const samples = this.#codec === 'opus' ? opusPacketSamples(payload) : payload.length * rate;
    if (samples === 0) return;
    const hole = this.#hole(rtpTimestamp, streamMs, rate);
    if (!this.#budget.take(((hole + samples) * 1000) / AAC_SAMPLE_RATE, this.#now())) return this.#exceed();
    this.#nextRtp = (rtpTimestamp + samples / rate) >>> 0;
    this.#nextStreamMs = streamMs + (samples * 1000) / AAC_SAMPLE_RATE;
    if (hole > 0) this.#fill(hole);

    this.#anchors.push({ sample: this.#samplesIn, streamMs });
    this.#feed(payload, samples);
  }

  /** A new source: the difference between its first timestamp and the last one is not a hole. */
  restart(): void {
    this.#nextRtp = undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#coder.close(), this.#replaced]);
  }

  /** Samples that are missing before a packet. Timestamps that have restarted leave no hole in the stream's time. */
  #hole(rtpTimestamp: number, streamMs: number, rate: number): number {
    if (this.#nextRtp === undefined) return 0;
    const jump = ((rtpTimestamp - this.#nextRtp) | 0) * rate;
    if (jump <= 0 || jump > MAX_FILL_SAMPLES) return 0;
    return ((streamMs - this.#nextStreamMs) * AAC_SAMPLE_RATE) / 1000 > jump / 2 ? jump : 0;
  }

  #start(): AacCoder {
    const { audioBitrate, audioBatchMs, sharedEncoders, logger } = this.#options;
    const options = {
      channels: this.#stereo ? 2 : 1,
      bitrate: Math.round(this.#stereo ? audioBitrate : audioBitrate * MONO_BITRATE),
    } as const;
    const batchSamples = (AAC_SAMPLE_RATE * audioBatchMs) / 1000;
    const coder = this.#plain
      ? createFfmpegPlainCoder(this.#codec, { codec: this.#plain, batchSamples, logger })
      : ((this.#codec === 'opus' && !this.#alone ? sharedEncoders?.open(options) : undefined) ??
        createFfmpegAacCoder(this.#codec, { ...options, batchSamples, logger }));
    coder.on('started', () => this.#begin());
    coder.on('frame', (raw) => this.#take(raw));
    coder.on('lost', (isCause) => this.#replaceLost(isCause));
    coder.on('failed', (error) => this.emit('failed', error));
    this.#begin();
    return coder;
  }

  /** Stays stereo: each change costs a moment of silence. */
  #becomeStereo(): void {
    const before = this.#coder;
    before.removeAllListeners();
    this.#stereo = true;
    this.#coder = this.#start();
    this.#replaced = before.close(); // after the start of the other: a shared encoder ends with its last stream
  }

  #replaceLost(isCause: boolean): void {
    this.#alone ||= isCause;
    if (!this.#closed) this.#coder = this.#start();
  }

  #exceed(): void {
    // The gap before the next packet is not filled: encoding silence costs as much as encoding the dropped packets.
    this.#nextRtp = undefined;
    if (this.#hasExceededBudget) return;
    this.#hasExceededBudget = true;
    this.#options.logger.warn('audio arrives faster than real time; the excess is dropped');
  }

  #begin(): void {
    this.#anchors = [];
    this.#samplesIn = 0;
    this.#framesOut = 0;
    this.#nextRtp = undefined;
  }

  #feed(payload: Buffer, samples: number): void {
    this.#coder.encode(payload, samples);
    this.#samplesIn += samples;
  }

  #fill(samples: number): void {
    if (this.#codec === 'opus')
      for (const packet of opusSilence(samples)) this.#feed(packet, opusPacketSamples(packet));
    else this.#feed(silentG711(this.#codec, samples / (AAC_SAMPLE_RATE / this.#clockRate)), samples);
  }

  #take(raw: Buffer): void {
    const sample = this.#framesOut++ * this.#frame.samples - this.#frame.priming;
    while (this.#anchors.length > 1 && this.#anchors[1]!.sample <= sample) this.#anchors.shift();
    const anchor = this.#anchors[0];
    if (anchor && sample >= 0)
      this.emit('frame', raw, anchor.streamMs + ((sample - anchor.sample) * 1000) / AAC_SAMPLE_RATE);
  }
}
