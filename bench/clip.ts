import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseVp9Header } from '../src/media/codecs/vpx.ts';
import { ivfFrames } from '../src/media/containers/ivf.ts';

/** The packets that publishers send, prepared once, so that sending costs little. */
export interface Clip {
  readonly frames: readonly ClipFrame[];
  /** Opus packets by their length in milliseconds. */
  readonly audio: ReadonlyMap<number, readonly Buffer[]>;
  readonly folder: string;
  readonly codec: ClipCodec;
}

export type ClipCodec = 'h264' | 'vp9';

export interface ClipFrame {
  readonly keyFrame: boolean;
  /** RTP packets with room for a header, in order; the header is written by each publisher just before it sends. */
  readonly packets: readonly Buffer[];
}

export const RTP_HEADER_BYTES = 12;
export const FRAMES_PER_SECOND = 30;
/** The packet size of browsers, below the MTU of every path. */
const MAX_PAYLOAD_BYTES = 1200;
const SECONDS = 10;
/** Lengths of an audio packet in milliseconds: the default of browsers, and those that an answer may ask for (`audio_packet_ms`). */
export const DEFAULT_PACKET_MS = 20;
const PACKET_MS = [DEFAULT_PACKET_MS, 40, 60] as const;

const NAL_IDR = 5;
const NAL_SLICE = 1;
const NAL_SPS = 7;
const NAL_PPS = 8;

/**
 * 720p30 with a key frame a second and mono Opus of 32 kbit/s, as Chromium sends speech. Kept in the
 * temporary folder for the next run.
 */
export async function loadClip(kbps: number, codec: ClipCodec = 'h264'): Promise<Clip> {
  const folder = join(tmpdir(), 'webrtc-transponder-bench');
  await mkdir(folder, { recursive: true });
  const audio = await Promise.all(
    PACKET_MS.map(
      async (packetMs) => [packetMs, opusPackets(await readFile(await makeSpeech(folder, packetMs)))] as const,
    ),
  );
  const frames =
    codec === 'vp9'
      ? vp9Frames(await readFile(await makeVp9(folder, kbps)))
      : packetize(await readFile(await makeH264(folder, kbps)));
  return { frames, audio: new Map(audio), folder, codec };
}

async function makeVp9(folder: string, kbps: number): Promise<string> {
  const video = join(folder, `720p30-${kbps}.ivf`);
  await make(video, [
    ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=${FRAMES_PER_SECOND},noise=alls=12:allf=t`],
    ...['-t', String(SECONDS), '-pix_fmt', 'yuv420p', '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
    ...['-lag-in-frames', '0', '-auto-alt-ref', '0', '-b:v', `${kbps}k`],
    ...['-g', String(FRAMES_PER_SECOND), '-keyint_min', String(FRAMES_PER_SECOND), '-f', 'ivf'],
  ]);
  return video;
}

async function makeH264(folder: string, kbps: number): Promise<string> {
  const video = join(folder, `720p30-${kbps}.h264`);
  await make(video, [
    '-f',
    'lavfi',
    '-i',
    `testsrc2=size=1280x720:rate=${FRAMES_PER_SECOND},noise=alls=12:allf=t`,
    '-t',
    String(SECONDS),
    '-c:v',
    'libx264',
    '-preset',
    'veryfast',
    '-profile:v',
    'baseline',
    '-pix_fmt',
    'yuv420p',
    '-bf',
    '0',
    '-g',
    String(FRAMES_PER_SECOND),
    '-sc_threshold',
    '0',
    '-b:v',
    `${kbps}k`,
    '-maxrate',
    `${kbps}k`,
    '-bufsize',
    `${kbps / 2}k`,
    '-x264-params',
    'slices=1:aud=0',
    '-f',
    'h264',
  ]);
  return video;
}

async function makeSpeech(folder: string, packetMs: number): Promise<string> {
  const file = join(folder, `speech-${packetMs}.opus`);
  await make(file, [
    '-f',
    'lavfi',
    '-i',
    `sine=frequency=330:duration=${SECONDS},tremolo=f=4:d=0.9`,
    '-f',
    'lavfi',
    '-i',
    `anoisesrc=d=${SECONDS}:c=pink:a=0.2`,
    '-filter_complex',
    'amix=inputs=2',
    '-ac',
    '1',
    '-c:a',
    'libopus',
    '-b:a',
    '32k',
    '-frame_duration',
    String(packetMs),
    '-page_duration',
    String(packetMs * 1000),
    '-f',
    'ogg',
  ]);
  return file;
}

/** The clip as a file with both tracks, for an ffmpeg to read. */
export async function clipFile(clip: Clip, kbps: number): Promise<string> {
  const file = join(clip.folder, `720p30-${kbps}.mkv`);
  await make(file, [
    '-r',
    String(FRAMES_PER_SECOND),
    '-i',
    join(clip.folder, `720p30-${kbps}.h264`),
    '-i',
    join(clip.folder, `speech-${DEFAULT_PACKET_MS}.opus`),
    '-c',
    'copy',
    '-f',
    'matroska',
  ]);
  return file;
}

async function make(file: string, args: readonly string[]): Promise<void> {
  if (await stat(file).catch(() => undefined)) return;
  const unfinished = `${file}.${process.pid}`;
  try {
    await promisify(execFile)('ffmpeg', ['-hide_banner', '-loglevel', 'error', '-y', ...args, unfinished]);
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The NAL units of an Annex B stream. */
function nalUnits(stream: Buffer): Buffer[] {
  const units: Buffer[] = [];
  const startCode = Buffer.of(0, 0, 1);
  for (let start = stream.indexOf(startCode) + 3; start > 2;) {
    const next = stream.indexOf(startCode, start);
    let end = next < 0 ? stream.length : next;
    while (stream[end - 1] === 0) end--;
    units.push(stream.subarray(start, end));
    start = next < 0 ? -1 : next + 3;
  }
  return units;
}

/** RFC 6184: parameter sets together in one STAP-A, slices whole or as FU-A. */
function packetize(stream: Buffer): ClipFrame[] {
  const frames: ClipFrame[] = [];
  let parameterSets: Buffer[] = [];
  for (const unit of nalUnits(stream)) {
    const type = unit[0]! & 0x1f;
    if (type === NAL_SPS || type === NAL_PPS) parameterSets.push(unit);
    if (type !== NAL_IDR && type !== NAL_SLICE) continue;
    const payloads = parameterSets.length > 0 ? [stapA(parameterSets)] : [];
    parameterSets = [];
    payloads.push(...fragments(unit));
    frames.push({
      keyFrame: type === NAL_IDR,
      packets: payloads.map((payload) => Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), payload])),
    });
  }
  return frames;
}

/** RFC 9628, non-flexible mode without picture ids: whether a frame refers to others, and where it begins and ends. */
function vp9Frames(ivf: Buffer): ClipFrame[] {
  return ivfFrames(ivf).map((data) => {
    const { keyFrame } = parseVp9Header(data);
    const packets: Buffer[] = [];
    for (let at = 0; at < data.length; at += MAX_PAYLOAD_BYTES) {
      const end = Math.min(data.length, at + MAX_PAYLOAD_BYTES);
      const descriptor = (keyFrame ? 0 : 0x40) | (at === 0 ? 0x08 : 0) | (end === data.length ? 0x04 : 0);
      packets.push(Buffer.concat([Buffer.alloc(RTP_HEADER_BYTES), Buffer.of(descriptor), data.subarray(at, end)]));
    }
    return { keyFrame, packets };
  });
}

function stapA(units: readonly Buffer[]): Buffer {
  const parts = units.flatMap((unit) => [Buffer.of(unit.length >> 8, unit.length & 0xff), unit]);
  return Buffer.concat([Buffer.of(0x78), ...parts]);
}

function fragments(unit: Buffer): Buffer[] {
  if (unit.length <= MAX_PAYLOAD_BYTES) return [unit];
  const indicator = (unit[0]! & 0xe0) | 28;
  const type = unit[0]! & 0x1f;
  const payloads: Buffer[] = [];
  for (let at = 1; at < unit.length; at += MAX_PAYLOAD_BYTES) {
    const end = Math.min(unit.length, at + MAX_PAYLOAD_BYTES);
    payloads.push(
      Buffer.concat([
        Buffer.of(indicator, (at === 1 ? 0x80 : 0) | (end === unit.length ? 0x40 : 0) | type),
        unit.subarray(at, end),
      ]),
    );
  }
  return payloads;
}

/** The packets of an Ogg stream that has one in a page, without its two header pages. */
function opusPackets(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const segments = file[at + 26]!;
    const start = at + 27 + segments;
    let length = 0;
    for (let i = 0; i < segments; i++) length += file[at + 27 + i]!;
    packets.push(file.subarray(start, start + length));
    at = start + length;
  }
  return packets.slice(2);
}
