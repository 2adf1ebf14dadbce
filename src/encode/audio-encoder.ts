import { EventEmitter } from 'node:events';
import type { GatewayError } from '../errors.ts';
import { g711ToAac, opusToAac, type AacSettings } from '../ffmpeg/ffmpeg-args.ts';
import { OGG_PAGE_SEGMENTS, oggSegments, OggOpusWriter } from '../ffmpeg/ogg-opus.ts';
import { isStereoOpus, opusPacketSamples, opusSilence } from '../ffmpeg/opus-packet.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { AAC_SAMPLES_PER_FRAME, AdtsReader } from '../flv/aac.ts';
import { stereoFromMono } from '../flv/aac-stereo.ts';
import { silentG711 } from '../flv/audio-tag.ts';
import { KeptBytes } from '../kept-bytes.ts';
import type { Logger } from '../logger.ts';
import type { AudioCodec } from '../stream/live-stream.ts';

/** What every rendition's AAC is: RTMP servers take it everywhere, and equal parameters let frames of any origin be joined. */
export const AAC_SAMPLE_RATE = 48_000;
export const AAC_CHANNELS = 2;
/** Milliseconds of one AAC frame. */
export const AAC_FRAME_MS = (AAC_SAMPLES_PER_FRAME * 1000) / AAC_SAMPLE_RATE;

/** Of the bitrate, for a single channel: what two share and what two need is less than twice as much. */
const MONO_BITRATE = 3 / 4;

/** ffmpeg's AAC encoder puts one frame of silence before the first sample. */
const PRIMING_SAMPLES = AAC_SAMPLES_PER_FRAME;
/** A hole up to this long is filled with silence inside the encoder; after a longer one the clock is set anew. */
const MAX_FILL_SAMPLES = AAC_SAMPLE_RATE / 2;
/** Packets whose frames have not come back yet: ten seconds. */
const MAX_ANCHORS = 500;

export interface AudioEncoderOptions {
  /** Kilobits per second, of two channels. */
  readonly audioBitrate: number;
  /**
   * Milliseconds of sound that are collected before ffmpeg gets them. Waking it for each packet, and being woken by it for each frame, costs
   * as much as the encoding. Sound comes out behind the pictures anyway; its time is told by its timestamps.
   */
  readonly audioBatchMs: number;
  readonly logger: Logger;
}

export interface AudioEncoderEvents {
  /** One raw AAC frame and the time of its first sample on the stream's clock, in milliseconds. */
  frame: [raw: Buffer, streamMs: number];
  failed: [error: GatewayError];
}

/**
 * Opus or G.711 packets in, AAC frames of two channels out, through one ffmpeg; time goes around it, by counting samples. A microphone
 * has one channel, and so has what ffmpeg encodes until the first packet with two comes.
 */
export class AudioEncoder extends EventEmitter<AudioEncoderEvents> {
  readonly #codec: AudioCodec;
  readonly #clockRate: number;
  readonly #bitrate: number;
  readonly #batchSamples: number;
  readonly #logger: Logger;
  #stereo = false;
  #closed = false;
  #ffmpeg: SupervisedFfmpeg;
  /** The one for a single channel, when it was replaced. */
  #replaced: Promise<void> | undefined;
  #ogg = new OggOpusWriter();
  #adts = new AdtsReader();
  /** Where in the stream's time a sample of the encoder's input belongs; one entry a packet, dropped when its frames are out. */
  #anchors: { sample: number; streamMs: number }[] = [];
  /** Samples given to and frames taken from the running ffmpeg, at the AAC's rate. */
  #samplesIn = 0;
  #framesOut = 0;
  #nextRtp: number | undefined;
  /** What waits to be written, how long it lasts, and how much of an Ogg page it takes. */
  readonly #collected = new KeptBytes();
  #collectedSamples = 0;
  #segments = 0;

  constructor(codec: AudioCodec, clockRate: number, { audioBitrate, audioBatchMs, logger }: AudioEncoderOptions) {
    super();
    this.#codec = codec;
    this.#clockRate = clockRate;
    this.#bitrate = audioBitrate;
    this.#batchSamples = (AAC_SAMPLE_RATE * audioBatchMs) / 1000;
    this.#logger = logger;
    this.#ffmpeg = this.#start();
  }

  /**
   * Encodes one packet.
   *
   * @param rtpTimestamp of its first sample; a jump means a hole
   * @param streamMs the same instant on the stream's clock
   */
  encode(payload: Buffer, rtpTimestamp: number, streamMs: number): void {
    if (this.#closed) return;
    if (this.#codec === 'opus' && !this.#stereo && isStereoOpus(payload)) this.#becomeStereo();
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

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#ffmpeg.close(), this.#replaced]);
  }

  #start(): SupervisedFfmpeg {
    const channels = this.#stereo ? 2 : 1;
    const bitrate = Math.round(this.#stereo ? this.#bitrate : this.#bitrate * MONO_BITRATE);
    const aac: AacSettings = { sampleRate: AAC_SAMPLE_RATE, channels, bitrate };
    const ffmpeg = new SupervisedFfmpeg(this.#codec === 'opus' ? opusToAac(aac) : g711ToAac(this.#codec, aac), 'audio encoder', this.#logger);
    ffmpeg.on('started', () => this.#begin());
    ffmpeg.on('output', (chunk) => this.#take(chunk));
    ffmpeg.on('failed', (error) => this.emit('failed', error));
    void ffmpeg.start();
    return ffmpeg;
  }

  /** For good: a change costs a moment of silence. */
  #becomeStereo(): void {
    this.#stereo = true;
    this.#ffmpeg.removeAllListeners();
    this.#replaced = this.#ffmpeg.close();
    this.#ffmpeg = this.#start();
  }

  #begin(): void {
    this.#ogg = new OggOpusWriter();
    this.#adts = new AdtsReader();
    this.#anchors = [];
    this.#samplesIn = 0;
    this.#framesOut = 0;
    this.#nextRtp = undefined;
    this.#collected.clear();
    this.#collectedSamples = 0;
    this.#segments = 0;
    if (this.#codec === 'opus') this.#ffmpeg.write(this.#ogg.header(this.#stereo ? 2 : 1));
  }

  #feed(payload: Buffer, samples: number): void {
    const segments = oggSegments(payload);
    // No encoder makes such a packet: a tenth of it is 510 kbit/s.
    if (segments > OGG_PAGE_SEGMENTS) return;
    if (this.#segments + segments > OGG_PAGE_SEGMENTS) this.#write();
    this.#segments += segments;
    this.#collected.push(payload);
    this.#samplesIn += samples;
    this.#collectedSamples += samples;
    if (this.#collectedSamples >= this.#batchSamples) this.#write();
  }

  /** In one piece: it is small, and several take the kernel longer. */
  #write(): void {
    if (this.#collected.length > 0) this.#ffmpeg.write(this.#codec === 'opus' ? this.#ogg.page(this.#collected.views(), this.#samplesIn) : Buffer.concat(this.#collected.views()));
    this.#collected.clear();
    this.#collectedSamples = 0;
    this.#segments = 0;
  }

  #fill(samples: number): void {
    if (this.#codec === 'opus') for (const packet of opusSilence(samples)) this.#feed(packet, opusPacketSamples(packet));
    else this.#feed(silentG711(this.#codec, samples / (AAC_SAMPLE_RATE / this.#clockRate)), samples);
  }

  #take(chunk: Buffer): void {
    for (const encoded of this.#adts.push(chunk)) {
      const raw = this.#stereo ? encoded : stereoFromMono(encoded);
      const sample = this.#framesOut++ * AAC_SAMPLES_PER_FRAME - PRIMING_SAMPLES;
      while (this.#anchors.length > 1 && this.#anchors[1]!.sample <= sample) this.#anchors.shift();
      const anchor = this.#anchors[0];
      if (raw && anchor && sample >= 0) this.emit('frame', raw, anchor.streamMs + ((sample - anchor.sample) * 1000) / AAC_SAMPLE_RATE);
    }
  }
}
