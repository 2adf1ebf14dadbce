import { toFlvAudio, type RtmpAudioCodec } from '../ffmpeg/ffmpeg-audio-args.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_AUDIO } from '../media/containers/flv-tag.ts';
import type { Logger } from '../observe/logger.ts';
import type { AudioCodec } from '../streams/live-stream.ts';
import { AAC_SAMPLE_RATE, type AacCoder } from './aac-coder.ts';
import { FfmpegCoder } from './ffmpeg-coder.ts';
import { PLAIN_FRAME_MS, PlainAudioFrames } from './plain-audio-frames.ts';

export interface FfmpegPlainCoderOptions {
  readonly codec: Exclude<RtmpAudioCodec, 'aac'>;
  /** Samples at 48 kHz that are collected before they are written to ffmpeg. */
  readonly batchSamples: number;
  readonly logger: Logger;
}

/** At 48 kHz. */
const FRAME_SAMPLES = (PLAIN_FRAME_MS * AAC_SAMPLE_RATE) / 1000;

/**
 * An ffmpeg that encodes one stream's audio to G.711 or Speex, without a lossy codec in between. Its frames are tag
 * bodies of 20 ms.
 */
export function createFfmpegPlainCoder(
  source: AudioCodec,
  { codec, batchSamples, logger }: FfmpegPlainCoderOptions,
): AacCoder {
  return new FfmpegCoder({
    codec: source,
    channels: 1,
    command: toFlvAudio(source, codec),
    createReader: () => {
      const flv = new FlvReader();
      const frames = new PlainAudioFrames(codec);
      return {
        push: (chunk) => flv.push(chunk).flatMap(({ type, data }) => (type === TAG_AUDIO ? frames.push(data) : [])),
      };
    },
    samplesPerFrame: FRAME_SAMPLES,
    batchSamples,
    logger,
  });
}
