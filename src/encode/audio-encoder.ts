import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import { g711ToAac, opusToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { OggOpusWriter } from '../ffmpeg/ogg-opus.ts';
import { opusPacketSamples, opusSilence } from '../ffmpeg/opus-packet.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { AAC_SAMPLES_PER_FRAME, AdtsReader } from '../flv/aac.ts';
import { silentG711 } from '../flv/audio-tag.ts';
import type { Logger } from '../logger.ts';
import type { AudioCodec } from '../stream/live-stream.ts';

/** What every rendition's AAC is: RTMP servers take it everywhere, and equal parameters let frames of any origin be joined. */
export const AAC_SAMPLE_RATE = 48_000;
export const AAC_CHANNELS = 2;
/** Milliseconds of one AAC frame. */
export const AAC_FRAME_MS = (AAC_SAMPLES_PER_FRAME * 1000) / AAC_SAMPLE_RATE;

/** ffmpeg's AAC encoder puts one frame of silence before the first sample. */
const PRIMING_SAMPLES = AAC_SAMPLES_PER_FRAME;
/** A hole up to this long is filled with silence inside the encoder; after a longer one the clock is set anew. */
const MAX_FILL_SAMPLES = AAC_SAMPLE_RATE / 2;
/** Packets whose frames have not come back yet: ten seconds. */
const MAX_ANCHORS = 500;

export interface AudioEncoderEvents {
  /** One raw AAC frame and the time of its first sample on the stream's clock, in milliseconds. */
  frame: [raw: Buffer, streamMs: number];
  failed: [error: GatewayError];
}

/** Opus or G.711 packets in, AAC frames out, through one ffmpeg; time goes around it, by counting samples. */
export class AudioEncoder extends EventEmitter<AudioEncoderEvents> {
  readonly #codec: AudioCodec;
  readonly #clockRate: number;
  readonly #ffmpeg: SupervisedFfmpeg;
  #ogg = new OggOpusWriter();
  #adts = new AdtsReader();
  /** Where in the stream's time a sample of the encoder's input belongs; one entry a packet, dropped when its frames are out. */
  #anchors: { sample: number; streamMs: number }[] = [];
  /** Samples given to and frames taken from the running ffmpeg, at the AAC's rate. */
  #samplesIn = 0;
  #framesOut = 0;
  #nextRtp: number | undefined;

  constructor(codec: AudioCodec, clockRate: number, bitrate: number, logger: Logger) {
    super();
    this.#codec = codec;
    this.#clockRate = clockRate;
    const aac: AacSettings = { sampleRate: AAC_SAMPLE_RATE, channels: AAC_CHANNELS, bitrate };
    this.#ffmpeg = new SupervisedFfmpeg(codec === 'opus' ? opusToAac(aac) : g711ToAac(codec, aac), 'audio encoder', logger);
    this.#ffmpeg.on('started', () => this.#begin());
    this.#ffmpeg.on('output', (chunk) => this.#take(chunk));
    this.#ffmpeg.on('failed', (error) => this.emit('failed', error));
    void this.#ffmpeg.start();
  }

  /**
   * Encodes one packet.
   *
   * @param rtpTimestamp of its first sample; a jump means a hole
   * @param streamMs the same instant on the stream's clock
   */
  encode(payload: Buffer, rtpTimestamp: number, streamMs: number): void {
    if (!this.#ffmpeg.running) return;
    const rate = AAC_SAMPLE_RATE / this.#clockRate;
    const samples = this.#codec === 'opus' ? opusPacketSamples(payload) : payload.length * rate;
    if (samples === 0) return;
    const hole = this.#nextRtp === undefined ? 0 : ((rtpTimestamp - this.#nextRtp) | 0) * rate;
    this.#nextRtp = (rtpTimestamp + samples / rate) >>> 0;
    if (hole > 0 && hole <= MAX_FILL_SAMPLES) this.#fill(hole);

    this.#anchors.push({ sample: this.#samplesIn, streamMs });
    if (this.#anchors.length > MAX_ANCHORS) this.#anchors.shift();
    this.#feed(payload, samples);
  }

  /** A new source: what its first packet's timestamp says about the last one's is no hole. */
  restart(): void {
    this.#nextRtp = undefined;
  }

  close(): Promise<void> {
    return this.#ffmpeg.close();
  }

  #begin(): void {
    this.#ogg = new OggOpusWriter();
    this.#adts = new AdtsReader();
    this.#anchors = [];
    this.#samplesIn = 0;
    this.#framesOut = 0;
    this.#nextRtp = undefined;
    if (this.#codec === 'opus') this.#ffmpeg.write(this.#ogg.header(AAC_CHANNELS));
  }

  #feed(payload: Buffer, samples: number): void {
    this.#samplesIn += samples;
    if (this.#codec === 'opus') this.#ffmpeg.write(...this.#ogg.page(payload, this.#samplesIn));
    else this.#ffmpeg.write(payload);
  }

  #fill(samples: number): void {
    if (this.#codec === 'opus') for (const packet of opusSilence(samples)) this.#feed(packet, opusPacketSamples(packet));
    else this.#feed(silentG711(this.#codec, samples / (AAC_SAMPLE_RATE / this.#clockRate)), samples);
  }

  #take(chunk: Buffer): void {
    for (const raw of this.#adts.push(chunk)) {
      const sample = this.#framesOut++ * AAC_SAMPLES_PER_FRAME - PRIMING_SAMPLES;
      while (this.#anchors.length > 1 && this.#anchors[1]!.sample <= sample) this.#anchors.shift();
      const anchor = this.#anchors[0];
      if (anchor && sample >= 0) this.emit('frame', raw, anchor.streamMs + ((sample - anchor.sample) * 1000) / AAC_SAMPLE_RATE);
    }
  }
}
