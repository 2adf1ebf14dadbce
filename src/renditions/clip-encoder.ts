import { GatewayError, toGatewayError } from '../errors.ts';
import { clipToAac, clipToFlvAudio, type ClipSource, type RtmpAudioCodec } from '../ffmpeg/ffmpeg-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { aacFrame, AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_AUDIO } from '../media/containers/flv-tag.ts';
import type { Logger } from '../observe/logger.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE } from './aac-coder.ts';
import { PlainAudioFrames } from './plain-audio-frames.ts';

/** The codec that destinations get, and how it is encoded. */
export interface ClipFormat {
  readonly codec: RtmpAudioCodec;
  /** Kilobits per second, of AAC. */
  readonly bitrate: number;
}

/** ffmpeg has run, and made no sound of what it was given. */
export class UndecodableError extends GatewayError {
  constructor(cause: unknown) {
    super('ENCODER_FAILED', toGatewayError(cause).message, { cause });
  }
}

/**
 * A WAV file as the bodies of FLV audio tags, each as long as one of the live audio.
 *
 * @throws {GatewayError} ENCODER_FAILED: an {@link UndecodableError} when it is the sound's fault, otherwise ffmpeg cannot be started
 */
export function encodeClip(
  source: Exclude<ClipSource, 'silence'>,
  format: ClipFormat,
  logger: Logger,
): Promise<Buffer[]> {
  return encode(source, format, logger);
}

/** One audio tag's body of silence. */
export async function silentFrame(format: ClipFormat, logger: Logger): Promise<Buffer> {
  if (format.codec === 'aac') return aacFrame(silentAacFrame(AAC_CHANNELS));
  // From the middle, where the encoder has settled.
  const frames = await encode('silence', format, logger);
  return frames[Math.floor(frames.length / 2)]!;
}

async function encode(source: ClipSource, { codec, bitrate }: ClipFormat, logger: Logger): Promise<Buffer[]> {
  const line =
    codec === 'aac'
      ? clipToAac(source, { sampleRate: AAC_SAMPLE_RATE, channels: AAC_CHANNELS, bitrate })
      : clipToFlvAudio(source, codec);
  const process = await FfmpegProcess.start(line, 'sound encoder', logger);
  const chunks: Buffer[] = [];
  process.on('output', (chunk) => chunks.push(chunk));
  try {
    await process.finish();
    // Not as it comes: nobody would catch what is thrown there.
    return framesOf(codec, Buffer.concat(chunks));
  } catch (cause) {
    throw new UndecodableError(cause);
  }
}

function framesOf(codec: RtmpAudioCodec, bytes: Buffer): Buffer[] {
  // The frame of silence that ffmpeg's AAC encoder puts first would be a gap in every loop.
  if (codec === 'aac') return new AdtsReader().push(bytes).slice(1).map(aacFrame);
  const plain = new PlainAudioFrames(codec);
  const sounds = new FlvReader().push(bytes).filter(({ type }) => type === TAG_AUDIO);
  return sounds.flatMap(({ data }) => plain.push(data));
}
