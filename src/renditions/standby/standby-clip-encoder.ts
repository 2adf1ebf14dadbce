import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { checkText, findPictureEncoders } from '../../ffmpeg/ffmpeg-abilities.ts';
import { FfmpegProcess } from '../../ffmpeg/ffmpeg-process.ts';
import {
  toStandbyClip,
  type StandbyColours,
  type PictureEncoder,
  type StandbyInput,
  type StandbyOutput,
  type TextLine,
} from '../../ffmpeg/ffmpeg-standby-args.ts';
import { avcFrame, parseSps, parseSpsColour } from '../../media/codecs/avc.ts';
import { NAL_IDR_SLICE, NAL_SLICE, nalType, nalUnitsOf, readSequenceHeader } from '../../media/codecs/avc-nal.ts';
import {
  foreignVideoFrame,
  foreignVideoHeader,
  isForeignKeyFrame,
  type ForeignVideoCodec,
} from '../../media/containers/enhanced-tag.ts';
import { FlvReader } from '../../media/containers/flv-reader.ts';
import { TAG_VIDEO, type FlvTag } from '../../media/containers/flv-tag.ts';
import { ivfFrames } from '../../media/containers/ivf.ts';
import type { Logger } from '../../observe/logger.ts';
import { bitrateForHeight } from '../encode-profile.ts';
import { decoderPixels, DEFAULT_MAX_FRAME_SIZE } from '../frame-limit.ts';
import { MAX_IMAGE_PIXELS } from './standby-clip-file.ts';
import { LINE_HEIGHT, wrapText } from './standby-clip-text.ts';
import type { StandbyClip, StandbyFormat, StandbyFrame } from './standby-clip.ts';

export interface ClipPicture {
  readonly input: StandbyInput;
  /** The image, or one RGB pixel. Videos are read by ffmpeg. */
  readonly content?: Buffer;
  /** `#rrggbb` */
  readonly background: string;
  readonly text?: string | undefined;
}

/** What is used of a video. */
const MAX_VIDEO_SECONDS = 60;
/** Encoded; a longer clip is cut. */
const MAX_CLIP_BYTES = 32 * 1024 * 1024;
/** A minute of 1080p takes about fifteen seconds on an idle core. */
const ENCODE_TIMEOUT_MS = 120_000;
/** Players take larger frames without colour information for BT.709, and smaller ones for BT.601. */
const HD = { width: 1280, height: 577 };
/** ITU-T H.273. */
const BT709 = 1;
const SMPTE170M = 6;
const UNSPECIFIED = 2;

/**
 * Encodes a clip. The format is valid: even sides, and at least two frames in a group, because two key frames in a row
 * would need different numbers, which they do not have when a clip is repeated.
 *
 * @throws {GatewayError} ENCODER_FAILED
 */
export async function encodeStandbyClip(
  picture: ClipPicture,
  format: StandbyFormat,
  logger: Logger,
  signal: AbortSignal,
): Promise<StandbyClip> {
  if (!picture.text) return encode(picture, format, [], logger, signal);
  await checkText();
  const folder = await mkdtemp(join(tmpdir(), 'webrtc-transponder-'));
  try {
    return await encode(picture, format, await writeText(folder, picture.text, format), logger, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One file for each line, because older versions of ffmpeg cannot centre lines. */
async function writeText(folder: string, text: string, { width, height }: StandbyFormat): Promise<TextLine[]> {
  const { fontSize, lines } = wrapText(text, width, height);
  const lineHeight = Math.round(fontSize * LINE_HEIGHT);
  const top = Math.round((height - lines.length * lineHeight) / 2);
  const written = lines.map(async (line, index): Promise<TextLine[]> => {
    if (line === '') return [];
    const path = join(folder, String(index));
    await writeFile(path, line);
    return [{ path, fontSize, baseline: top + index * lineHeight + fontSize }];
  });
  return (await Promise.all(written)).flat();
}

async function encode(
  { input, content, background }: ClipPicture,
  format: StandbyFormat,
  text: readonly TextLine[],
  logger: Logger,
  signal: AbortSignal,
): Promise<StandbyClip> {
  signal.throwIfAborted();
  const foreign = format.codec && (await encoderFor(format.codec));
  const output = { ...outputOf(input, format, background, text), foreign };
  const maxPixels = input.kind === 'image' ? MAX_IMAGE_PIXELS : decoderPixels(DEFAULT_MAX_FRAME_SIZE);
  const process = await FfmpegProcess.start(toStandbyClip(input, output, maxPixels), 'standby encoder', logger);
  const chunks: Buffer[] = [];
  process.on('output', (chunk) => chunks.push(chunk));
  if (content) process.write(content);
  await process.finish(AbortSignal.any([signal, AbortSignal.timeout(ENCODE_TIMEOUT_MS)]));
  try {
    const encoded = Buffer.concat(chunks);
    return format.codec
      ? readForeignClip(encoded, format, format.codec)
      : readClip(new FlvReader().push(encoded), format);
  } catch (error) {
    throw toGatewayError(error, 'ENCODER_FAILED');
  }
}

async function encoderFor(codec: ForeignVideoCodec): Promise<PictureEncoder> {
  const encoder = (await findPictureEncoders()).get(codec);
  if (!encoder)
    throw new GatewayError('ENCODER_FAILED', `The installed ffmpeg has no encoder for ${codec.toUpperCase()}.`);
  return encoder;
}

function outputOf(
  input: StandbyInput,
  format: StandbyFormat,
  background: string,
  text: readonly TextLine[],
): StandbyOutput {
  const { width, height, encoder, sampleAspect } = format;
  const sps = encoder?.header && readSequenceHeader(encoder.header).sps[0];
  const fps = encoder?.output.fps ?? format.fps;
  const group = groupOf(format);
  return {
    width,
    height,
    ...(sampleAspect && { sampleAspect }),
    fps,
    encoderFps: (sps && parseSps(sps)?.frameRate) ?? encoder?.output.rate ?? fps,
    group,
    frames: input.kind === 'video' ? Math.ceil(MAX_VIDEO_SECONDS * fps) : group,
    background,
    text,
    colours: encoder ? coloursOf(sps, format) : { ...ownColours(format), tags: tagsOf(ownColours(format).matrix) },
    bitrate: encoder?.output.bitrate ?? bitrateForHeight(Math.min(width, height), fps),
    asTranscoder: encoder !== undefined,
    maxBytes: MAX_CLIP_BYTES,
  };
}

/** Frames between key frames. */
export const groupOf = ({ fps, keyFrameIntervalMs }: StandbyFormat): number =>
  Math.max(2, Math.round((fps * keyFrameIntervalMs) / 1000));

const ownColours = ({ width, height }: StandbyFormat): StandbyColours => ({
  matrix: width >= HD.width || height >= HD.height ? BT709 : SMPTE170M,
  fullRange: false,
});

const tagsOf = (matrix: number): NonNullable<StandbyColours['tags']> => ({ primaries: matrix, transfer: matrix });

/** The colours that an encoder has from its source. */
function coloursOf(sps: Buffer | undefined, format: StandbyFormat): StandbyColours {
  const colour = sps && parseSpsColour(sps);
  if (!colour) return ownColours(format);
  const { fullRange, primaries, transfer, matrix } = colour;
  if (matrix === UNSPECIFIED && primaries === UNSPECIFIED && transfer === UNSPECIFIED)
    return { ...ownColours(format), fullRange };
  return { matrix, fullRange, tags: { primaries, transfer } };
}

/** In memory of its own. */
function readForeignClip(encoded: Buffer, format: StandbyFormat, codec: ForeignVideoCodec): StandbyClip {
  const frames = ivfFrames(encoded).map((frame) => {
    const keyFrame = isForeignKeyFrame(codec, frame);
    return { keyFrame, frame, data: foreignVideoFrame(codec, frame, 0, keyFrame).data };
  });
  // A key frame at the end would be followed by the one at the beginning.
  if (frames.length > 1 && frames.at(-1)!.keyFrame) frames.pop();
  if (frames.length < 2 || !frames[0]!.keyFrame) throw new GatewayError('ENCODER_FAILED', 'ffmpeg encoded no frames.');
  const { data: header } = foreignVideoHeader(codec, frames[0]!.frame, 0, format);
  return { format, header, frames: frames.map(({ data, keyFrame }) => ({ data, keyFrame })) };
}

function readClip(tags: readonly FlvTag[], format: StandbyFormat): StandbyClip {
  const video = tags.filter(({ type, data }) => type === TAG_VIDEO && data.length > 5);
  const header = video.find((tag) => tag.sequenceHeader)?.data;
  const frames = video.filter((tag) => !tag.sequenceHeader);
  // A key frame at the end would be followed by the one at the beginning.
  if (frames.length > 1 && frames.at(-1)!.keyFrame) frames.pop();
  if (!header || frames.length < 2 || !frames[0]!.keyFrame)
    throw new GatewayError('ENCODER_FAILED', 'ffmpeg encoded no frames.');
  const { sps, pps } = readSequenceHeader(header);
  const inBand = [...sps, ...pps];
  return { format, header: Buffer.from(header), frames: frames.map((frame) => standbyFrame(frame, inBand)) };
}

/** A frame without the messages of the encoder, in memory of its own. */
function standbyFrame({ data, keyFrame }: FlvTag, parameterSets: readonly Buffer[]): StandbyFrame {
  const slices = nalUnitsOf(data).filter((unit) => nalType(unit) === NAL_SLICE || nalType(unit) === NAL_IDR_SLICE);
  const nalUnits = (keyFrame ? [...parameterSets, ...slices] : slices).map((unit) => [unit]);
  return { data: avcFrame(nalUnits, keyFrame), keyFrame };
}
