import { EventEmitter } from 'node:events';
import { g711ToAac, opusToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { OGG_PAGE_SEGMENTS, oggSegments, OggOpusWriter } from '../media/containers/ogg-opus.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { AAC_SAMPLES_PER_FRAME, AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
import { stereoFromMono } from '../media/codecs/aac-stereo.ts';
import { KeptBytes } from '../runtime/kept-bytes.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import {
  AAC_CHANNELS,
  AAC_SAMPLE_RATE,
  type AacCoder,
  type AacCoderEvents,
  type AacCoderOptions,
} from './aac-coder.ts';

export interface FfmpegAacCoderOptions extends AacCoderOptions {
  /** Samples that are collected before they are written to ffmpeg. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

/** Ten seconds of input whose frames have not come out: the ffmpeg hangs, or leaves out what it cannot decode. */
const MAX_PENDING_SAMPLES = AAC_SAMPLE_RATE * 10;

const silence = silentAacFrame(AAC_CHANNELS);

/** An ffmpeg for one stream: reads Opus in Ogg or raw G.711, and writes ADTS. */
export class FfmpegAacCoder extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly #codec: AudioCodec;
  readonly #channels: 1 | 2;
  readonly #batchSamples: number;
  readonly #ffmpeg: SupervisedFfmpeg;
  #ogg = new OggOpusWriter();
  #adts = new AdtsReader();
  /** Samples given to and frames taken from the running ffmpeg. */
  #samplesIn = 0;
  #framesOut = 0;
  /** Packets that wait to be written, their length in samples, and the segments of an Ogg page that they take. */
  readonly #collected = new KeptBytes();
  #collectedSamples = 0;
  #segments = 0;

  constructor(codec: AudioCodec, { channels, bitrate, batchSamples, logger }: FfmpegAacCoderOptions) {
    super();
    this.#codec = codec;
    this.#channels = channels;
    this.#batchSamples = batchSamples;
    const aac: AacSettings = { sampleRate: AAC_SAMPLE_RATE, channels, bitrate };
    this.#ffmpeg = new SupervisedFfmpeg(
      codec === 'opus' ? opusToAac(aac) : g711ToAac(codec, aac),
      'audio encoder',
      logger,
    );
    this.#ffmpeg.on('started', () => this.#begin());
    this.#ffmpeg.on('output', (chunk) => this.#take(chunk));
    this.#ffmpeg.on('failed', (error) => this.emit('failed', error));
    void this.#ffmpeg.start();
  }

  get running(): boolean {
    return this.#ffmpeg.running;
  }

  encode(packet: Buffer, samples: number): void {
    const segments = oggSegments(packet);
    if (this.#segments + segments > OGG_PAGE_SEGMENTS) this.#write();
    this.#segments += segments;
    this.#collected.push(packet);
    this.#samplesIn += samples;
    this.#collectedSamples += samples;
    if (this.#collectedSamples >= this.#batchSamples) this.#write();
    if (this.#samplesIn - this.#framesOut * AAC_SAMPLES_PER_FRAME > MAX_PENDING_SAMPLES)
      void this.#ffmpeg.restart('its output stopped or is ten seconds behind');
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#ogg = new OggOpusWriter();
    this.#adts = new AdtsReader();
    this.#samplesIn = 0;
    this.#framesOut = 0;
    this.#clear();
    if (this.#codec === 'opus') this.#ffmpeg.write(this.#ogg.header(this.#channels));
    this.emit('started');
  }

  /** Writes all in one piece: several small writes cost more. */
  #write(): void {
    if (this.#collected.length > 0)
      this.#ffmpeg.write(
        this.#codec === 'opus'
          ? this.#ogg.page(this.#collected.views(), this.#samplesIn)
          : Buffer.concat(this.#collected.views()),
      );
    this.#clear();
  }

  #clear(): void {
    this.#collected.clear();
    this.#collectedSamples = 0;
    this.#segments = 0;
  }

  #take(chunk: Buffer): void {
    for (const frame of this.#adts.push(chunk)) {
      this.#framesOut++;
      this.emit('frame', this.#channels === AAC_CHANNELS ? frame : (stereoFromMono(frame) ?? silence));
    }
  }
}
