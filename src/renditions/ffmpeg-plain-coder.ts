import { EventEmitter } from 'node:events';
import { toGatewayError } from '../errors.ts';
import { toFlvAudio, type RtmpAudioCodec } from '../ffmpeg/ffmpeg-args.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_AUDIO } from '../media/containers/flv-tag.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import { AAC_SAMPLE_RATE, type AacCoder, type AacCoderEvents } from './aac-coder.ts';
import { MAX_PENDING_SAMPLES, PacketBatch } from './packet-batch.ts';
import { PLAIN_FRAME_MS, PlainAudioFrames } from './plain-audio-frames.ts';

export interface FfmpegPlainCoderOptions {
  readonly codec: Exclude<RtmpAudioCodec, 'aac'>;
  /** Samples at 48 kHz that are collected before ffmpeg gets them. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

/** At 48 kHz. */
const FRAME_SAMPLES = (PLAIN_FRAME_MS * AAC_SAMPLE_RATE) / 1000;

/**
 * An ffmpeg that encodes one stream's audio to G.711 or Speex, without a lossy codec in between. Its frames are tag
 * bodies of 20 ms.
 */
export class FfmpegPlainCoder extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly #codec: Exclude<RtmpAudioCodec, 'aac'>;
  readonly #ffmpeg: SupervisedFfmpeg;
  readonly #batch: PacketBatch;
  #reader = new FlvReader();
  #frames: PlainAudioFrames;
  /** Frames taken from the running ffmpeg. */
  #framesOut = 0;

  constructor(source: AudioCodec, { codec, batchSamples, logger }: FfmpegPlainCoderOptions) {
    super();
    this.#codec = codec;
    this.#frames = new PlainAudioFrames(codec);
    this.#ffmpeg = new SupervisedFfmpeg(toFlvAudio(source, codec), 'audio encoder', logger);
    this.#batch = new PacketBatch(source, 1, batchSamples, (bytes) => this.#ffmpeg.write(bytes));
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
    if (this.#batch.samples - this.#framesOut * FRAME_SAMPLES > MAX_PENDING_SAMPLES)
      void this.#ffmpeg.restart('its output stopped or is ten seconds behind');
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#reader = new FlvReader();
    this.#frames = new PlainAudioFrames(this.#codec);
    this.#framesOut = 0;
    this.#batch.begin();
    this.emit('started');
  }

  #take(chunk: Buffer): void {
    try {
      for (const tag of this.#reader.push(chunk))
        if (tag.type === TAG_AUDIO)
          for (const body of this.#frames.push(tag.data)) {
            this.#framesOut++;
            this.emit('frame', body);
          }
    } catch (error) {
      void this.#ffmpeg.restart(toGatewayError(error).message);
    }
  }
}
