import { EventEmitter } from 'node:events';
import { g711ToAac, opusToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { OGG_PAGE_SEGMENTS, oggSegments, OggOpusWriter } from '../media/containers/ogg-opus.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
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
  /** Samples that are collected before ffmpeg gets them. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

const silence = silentAacFrame(AAC_CHANNELS);

/** An ffmpeg for one stream: Opus goes in as Ogg, G.711 as it is, and ADTS comes out. */
export class FfmpegAacCoder extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly #codec: AudioCodec;
  readonly #channels: 1 | 2;
  readonly #batchSamples: number;
  readonly #ffmpeg: SupervisedFfmpeg;
  #ogg = new OggOpusWriter();
  #adts = new AdtsReader();
  /** Samples given to the running ffmpeg. */
  #samplesIn = 0;
  /** What waits to be written, how long it lasts, and how much of an Ogg page it takes. */
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
  }

  giveUp(): void {
    void this.#ffmpeg.restart('nothing came out of it any more');
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#ogg = new OggOpusWriter();
    this.#adts = new AdtsReader();
    this.#samplesIn = 0;
    this.#clear();
    if (this.#codec === 'opus') this.#ffmpeg.write(this.#ogg.header(this.#channels));
    this.emit('started');
  }

  /** In one piece: it is small, and several take the kernel longer. */
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
    for (const frame of this.#adts.push(chunk))
      this.emit('frame', this.#channels === AAC_CHANNELS ? frame : (stereoFromMono(frame) ?? silence));
  }
}
