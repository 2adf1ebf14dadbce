import { open } from 'node:fs/promises';
import { GatewayError, toGatewayError } from '../errors.ts';
import { clipToAac, clipToFlvAudio, clipToOpus, type ClipSource } from '../ffmpeg/ffmpeg-audio-args.ts';
import { FfmpegProcess } from '../ffmpeg/ffmpeg-process.ts';
import { AAC_SAMPLES_PER_FRAME, aacFrame, AdtsReader, silentAacFrame } from '../media/codecs/aac.ts';
import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../media/codecs/opus-packet.ts';
import { opusFrame } from '../media/containers/enhanced-tag.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_AUDIO } from '../media/containers/flv-tag.ts';
import { oggOpusPackets } from '../media/containers/ogg-opus.ts';
import { parseWavFormat } from '../media/containers/wav.ts';
import type { Logger } from '../observe/logger.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE } from './aac-coder.ts';
import { OPUS_FORMAT } from './audio-format.ts';
import type { RenditionAudioCodec } from './encode-profile.ts';
import { PLAIN_FRAME_MS, PlainAudioFrames } from './plain-audio-frames.ts';

/** The codec that destinations get, and its bitrate. */
export interface ClipFormat {
  readonly codec: RenditionAudioCodec;
  /** Kilobits per second, of AAC and Opus. */
  readonly bitrate: number;
}

/** ffmpeg ran, and could not decode the file, or the file is beyond the limits. */
export class UndecodableError extends GatewayError {
  constructor(cause: unknown) {
    super('ENCODER_FAILED', toGatewayError(cause).message, { cause });
  }
}

/** The longest sound file, in seconds: 29 MB in memory at 128 kbit/s. */
const MAX_CLIP_SECONDS = 30 * 60;
/** Sample rates of real recordings, in hertz. A lower one makes a long file of few bytes. */
const MIN_SAMPLE_RATE = 4000;
const MAX_SAMPLE_RATE = 384_000;
/** The longest clip takes about ten seconds on an idle core. */
const ENCODE_TIMEOUT_MS = 60_000;
/** The format chunk is in the first bytes, after at most a few descriptive chunks. */
const HEAD_BYTES = 4096;

/**
 * Encodes a WAV file as the bodies of FLV audio tags, each as long as one of the live audio, or, of Opus, 20 ms. The file's duration and
 * the run time of the encoder are limited.
 *
 * @param signal ends the encoder when its result is no longer needed
 * @throws {GatewayError} ENCODER_FAILED: an {@link UndecodableError} if the file is the cause, otherwise ffmpeg cannot
 * be started
 */
export async function encodeClip(
  source: Exclude<ClipSource, 'silence'>,
  format: ClipFormat,
  logger: Logger,
  signal?: AbortSignal,
): Promise<Buffer[]> {
  await checkFormat(source.file);
  const frames = await encode(source, format, logger, signal);
  // The data may be longer than the header says: ffmpeg has stopped a frame or two beyond the limit then.
  if (clipSeconds(frames.length, format.codec) > MAX_CLIP_SECONDS) throw tooLong();
  return frames;
}

/** One audio tag's body of silence. */
export async function silentFrame(format: ClipFormat, logger: Logger): Promise<Buffer> {
  if (format.codec === 'aac') return aacFrame(silentAacFrame(AAC_CHANNELS));
  if (format.codec === 'opus') return OPUS_FORMAT.silence;
  // From the middle, where the encoder has settled.
  const frames = await encode('silence', format, logger);
  return frames[Math.floor(frames.length / 2)]!;
}

/** @throws {UndecodableError} for a WAV file that says that it is too long, or has an unusual sample rate */
async function checkFormat(path: string): Promise<void> {
  const file = await open(path).catch(() => undefined);
  if (!file) return; // ffmpeg's error says more
  let head: Buffer;
  let size: number;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    head = buffer.subarray(0, bytesRead);
    ({ size } = await file.stat());
  } finally {
    await file.close();
  }
  const wav = parseWavFormat(head);
  if (!wav) return; // the same
  if (wav.sampleRate < MIN_SAMPLE_RATE || wav.sampleRate > MAX_SAMPLE_RATE)
    throw undecodable(
      `its sample rate is ${wav.sampleRate} Hz; ${MIN_SAMPLE_RATE} to ${MAX_SAMPLE_RATE} Hz are supported`,
    );
  if (size / wav.bytesPerSecond > MAX_CLIP_SECONDS) throw tooLong();
}

const undecodable = (reason: string): UndecodableError =>
  new UndecodableError(new GatewayError('ENCODER_FAILED', reason));

const tooLong = (): UndecodableError => undecodable(`it is longer than ${MAX_CLIP_SECONDS / 60} minutes`);

function clipSeconds(frames: number, codec: RenditionAudioCodec): number {
  if (codec === 'aac') return (frames * AAC_SAMPLES_PER_FRAME) / AAC_SAMPLE_RATE;
  return (frames * (codec === 'opus' ? OPUS_FORMAT.frameMs : PLAIN_FRAME_MS)) / 1000;
}

async function encode(
  source: ClipSource,
  { codec, bitrate }: ClipFormat,
  logger: Logger,
  signal?: AbortSignal,
): Promise<Buffer[]> {
  signal?.throwIfAborted();
  const maxSeconds = MAX_CLIP_SECONDS + 1;
  const line =
    codec === 'aac'
      ? clipToAac(source, { sampleRate: AAC_SAMPLE_RATE, channels: AAC_CHANNELS, bitrate }, maxSeconds)
      : codec === 'opus'
        ? clipToOpus(source, bitrate, OPUS_FORMAT.frameMs, maxSeconds)
        : clipToFlvAudio(source, codec, maxSeconds);
  const process = await FfmpegProcess.start(line, 'sound encoder', logger);
  const timeout = AbortSignal.timeout(ENCODE_TIMEOUT_MS);
  const chunks: Buffer[] = [];
  process.on('output', (chunk) => chunks.push(chunk));
  try {
    await process.finish(signal ? AbortSignal.any([signal, timeout]) : timeout);
    // Parsed here and not in the listener, where an exception would not be caught.
    return framesOf(codec, Buffer.concat(chunks));
  } catch (cause) {
    throw new UndecodableError(cause);
  }
}

function framesOf(codec: RenditionAudioCodec, bytes: Buffer): Buffer[] {
  // ffmpeg's AAC encoder puts one frame of silence first, which would be a gap in every loop.
  if (codec === 'aac') return new AdtsReader().push(bytes).slice(1).map(aacFrame);
  if (codec === 'opus') return oggOpusPackets(bytes).filter(isWholeFrame).map(opusFrame);
  const plain = new PlainAudioFrames(codec);
  const tags = new FlvReader().push(bytes).filter(({ type }) => type === TAG_AUDIO);
  return tags.flatMap(({ data }) => plain.push(data));
}

const isWholeFrame = (packet: Buffer): boolean =>
  (opusPacketSamples(packet) * 1000) / OPUS_SAMPLE_RATE === OPUS_FORMAT.frameMs;
