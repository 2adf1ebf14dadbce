import { g711ToAac, opusToAac } from '../ffmpeg/ffmpeg-audio-args.ts';
import { AAC_SAMPLES_PER_FRAME, AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
import { stereoFromMono } from '../media/codecs/aac-stereo.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE, type AacCoder, type AacCoderOptions } from './aac-coder.ts';
import { FfmpegCoder } from './ffmpeg-coder.ts';

export interface FfmpegAacCoderOptions extends AacCoderOptions {
  /** Samples that are collected before they are written to ffmpeg. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

const silence = silentAacFrame(AAC_CHANNELS);

/** An ffmpeg for one stream: reads Opus in Ogg or raw G.711, and writes ADTS. */
export function createFfmpegAacCoder(
  codec: AudioCodec,
  { channels, bitrate, batchSamples, logger }: FfmpegAacCoderOptions,
): AacCoder {
  const aac = { sampleRate: AAC_SAMPLE_RATE, channels, bitrate };
  return new FfmpegCoder({
    codec,
    channels,
    command: codec === 'opus' ? opusToAac(aac) : g711ToAac(codec, aac),
    createReader: () => {
      const adts = new AdtsReader();
      return {
        push: (chunk) =>
          channels === AAC_CHANNELS
            ? adts.push(chunk)
            : adts.push(chunk).map((frame) => stereoFromMono(frame) ?? silence),
      };
    },
    samplesPerFrame: AAC_SAMPLES_PER_FRAME,
    batchSamples,
    logger,
  });
}
