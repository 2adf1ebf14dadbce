import { EventEmitter } from 'node:events';
import { g711ToAac, opusToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { AAC_SAMPLES_PER_FRAME, AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
import { stereoFromMono } from '../media/codecs/aac-stereo.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import {
  AAC_CHANNELS,
  AAC_SAMPLE_RATE,
  type AacCoder,
  type AacCoderEvents,
  type AacCoderOptions,
} from './aac-coder.ts';
import { MAX_PENDING_SAMPLES, PacketBatch } from './packet-batch.ts';

export interface FfmpegAacCoderOptions extends AacCoderOptions {
  /** Samples that are collected before they are written to ffmpeg. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

const silence = silentAacFrame(AAC_CHANNELS);

/** An ffmpeg for one stream: reads Opus in Ogg or raw G.711, and writes ADTS. */
export class FfmpegAacCoder extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly #channels: 1 | 2;
  readonly #ffmpeg: SupervisedFfmpeg;
  readonly #batch: PacketBatch;
  #adts = new AdtsReader();
  /** Frames taken from the running ffmpeg. */
  #framesOut = 0;

  constructor(codec: AudioCodec, { channels, bitrate, batchSamples, logger }: FfmpegAacCoderOptions) {
    super();
    this.#channels = channels;
    const aac: AacSettings = { sampleRate: AAC_SAMPLE_RATE, channels, bitrate };
    this.#ffmpeg = new SupervisedFfmpeg(
      codec === 'opus' ? opusToAac(aac) : g711ToAac(codec, aac),
      'audio encoder',
      logger,
    );
    this.#batch = new PacketBatch(codec, channels, batchSamples, (bytes) => this.#ffmpeg.write(bytes));
    this.#ffmpeg.on('started', () => this.#begin());
    this.#ffmpeg.on('output', (chunk) => this.#take(chunk));
    this.#ffmpeg.on('failed', (error) => this.emit('failed', error));
    void this.#ffmpeg.start();
  }

  get running(): boolean {
    return this.#ffmpeg.running;
  }

  encode(packet: Buffer, samples: number): void {
    this.#batch.add(packet, samples);
    if (this.#batch.samples - this.#framesOut * AAC_SAMPLES_PER_FRAME > MAX_PENDING_SAMPLES)
      void this.#ffmpeg.restart('its output stopped or is ten seconds behind');
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#adts = new AdtsReader();
    this.#framesOut = 0;
    this.#batch.begin();
    this.emit('started');
  }

  #take(chunk: Buffer): void {
    for (const frame of this.#adts.push(chunk)) {
      this.#framesOut++;
      this.emit('frame', this.#channels === AAC_CHANNELS ? frame : (stereoFromMono(frame) ?? silence));
    }
  }
}
