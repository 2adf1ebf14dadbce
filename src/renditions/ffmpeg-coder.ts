import { EventEmitter } from 'node:events';
import { toGatewayError } from '../errors.ts';
import type { FfmpegCommandLine } from '../ffmpeg/ffmpeg-args.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import { AAC_SAMPLE_RATE, type AacCoder, type AacCoderEvents } from './aac-coder.ts';
import { PacketBatch } from './packet-batch.ts';
import { inBackground } from '../runtime/in-background.ts';

/** Ten seconds of input whose frames have not come out: the ffmpeg hangs, or skips what it cannot decode. */
const MAX_PENDING_SAMPLES = AAC_SAMPLE_RATE * 10;

/** Splits the output of one ffmpeg into frames. A new ffmpeg gets a new reader. */
export interface FrameReader {
  /** @throws {Error} for output that cannot be read: ffmpeg is restarted */
  push(chunk: Buffer): readonly Buffer[];
}

export interface FfmpegCoderOptions {
  readonly codec: AudioCodec;
  readonly channels: 1 | 2;
  readonly command: FfmpegCommandLine;
  readonly createReader: () => FrameReader;
  /** At 48 kHz. */
  readonly samplesPerFrame: number;
  /** Samples at 48 kHz that are collected before they are written to ffmpeg. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

/** An ffmpeg that encodes the audio of one stream. */
export class FfmpegCoder extends EventEmitter<AacCoderEvents> implements AacCoder {
  readonly #options: FfmpegCoderOptions;
  readonly #ffmpeg: SupervisedFfmpeg;
  readonly #batch: PacketBatch;
  #reader: FrameReader;
  /** Frames taken from the running ffmpeg. */
  #framesOut = 0;

  constructor(options: FfmpegCoderOptions) {
    super();
    const { codec, channels, command, createReader, batchSamples, logger } = options;
    this.#options = options;
    this.#reader = createReader();
    this.#ffmpeg = new SupervisedFfmpeg(command, 'audio encoder', logger);
    this.#batch = new PacketBatch(codec, channels, batchSamples, (bytes) => this.#ffmpeg.write(bytes));
    this.#ffmpeg.on('started', () => this.#begin());
    this.#ffmpeg.on('output', (chunk) => this.#take(chunk));
    this.#ffmpeg.on('failed', (error) => this.emit('failed', error));
    inBackground(this.#ffmpeg.start());
  }

  get running(): boolean {
    return this.#ffmpeg.running;
  }

  encode(packet: Buffer, samples: number): void {
    this.#batch.add(packet, samples);
    if (this.#batch.samples - this.#framesOut * this.#options.samplesPerFrame > MAX_PENDING_SAMPLES)
      inBackground(this.#ffmpeg.restart('its output stopped or is ten seconds behind'));
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#reader = this.#options.createReader();
    this.#framesOut = 0;
    this.#batch.begin();
    this.emit('started');
  }

  #take(chunk: Buffer): void {
    let frames: readonly Buffer[];
    try {
      frames = this.#reader.push(chunk);
    } catch (error) {
      inBackground(this.#ffmpeg.restart(toGatewayError(error).message));
      return;
    }
    this.#framesOut += frames.length;
    for (const frame of frames) this.emit('frame', frame);
  }
}
