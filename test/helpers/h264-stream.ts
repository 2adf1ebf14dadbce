import { NAL_PPS, NAL_SPS, nalType, nalUnitsOf, readSequenceHeader } from '../../src/media/codecs/avc-nal.ts';
import { flvTag, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { DEFAULT_MAX_FRAME_SIZE } from '../../src/renditions/frame-limit.ts';
import { StreamTime } from '../../src/renditions/stream-time.ts';
import { VideoInput } from '../../src/renditions/video-input.ts';
import { VideoLine } from '../../src/renditions/video-line.ts';
import type { VideoTrack } from '../../src/streams/live-stream.ts';
import { FakeSubscription } from './fake-publisher.ts';
import { ffmpeg } from './ffmpeg-tool.ts';
import { readFlv } from './flv-file.ts';
import { encodeFlvTag } from './flv-tags.ts';

/** A coded frame with the parameter sets that precede it. */
export interface CodedFrame {
  readonly nalUnits: readonly Buffer[];
  readonly presentMs: number;
  readonly decodeMs: number;
}

/** One second of x264's output for each 30 frames, with `params` of x264. */
export async function encodeH264(params: string, seconds = 2): Promise<{ frames: CodedFrame[]; file: Buffer }> {
  const source = `testsrc2=s=320x180:r=30:d=${seconds}`;
  const encode = ['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-x264-params', params];
  const file = await ffmpeg(['-f', 'lavfi', '-i', source, ...encode, '-f', 'flv', '-']);
  const [header, ...tags] = readFlv(file).tags.filter(({ kind }) => kind === 'video');
  const { sps, pps } = readSequenceHeader(header!.body);
  const frames = tags.map(({ body, timestamp }, index) => ({
    nalUnits: [...(index === 0 ? [...sps, ...pps] : []), ...nalUnitsOf(body)],
    presentMs: timestamp + body.readIntBE(2, 3),
    decodeMs: timestamp,
  }));
  return { frames, file };
}

export interface Sending {
  /** Of the packet that ends a NAL unit. Default: on the last NAL unit of a frame. */
  readonly marker?: (isLast: boolean, index: number) => boolean;
  /** What is sent for a frame. Default: its NAL units. */
  readonly units?: (frame: CodedFrame, index: number) => readonly Buffer[];
  readonly track?: Partial<VideoTrack>;
}

const MAX_PAYLOAD = 1100;

/** NAL units as single packets and FU-A. */
export function payloadsOf(nalUnit: Buffer): Buffer[] {
  if (nalUnit.length <= MAX_PAYLOAD) return [nalUnit];
  const payloads: Buffer[] = [];
  for (let at = 1; at < nalUnit.length; at += MAX_PAYLOAD) {
    const flags = (at === 1 ? 0x80 : 0) | (at + MAX_PAYLOAD >= nalUnit.length ? 0x40 : 0);
    const head = Buffer.of((nalUnit[0]! & 0xe0) | 28, flags | (nalUnit[0]! & 0x1f));
    payloads.push(Buffer.concat([head, nalUnit.subarray(at, at + MAX_PAYLOAD)]));
  }
  return payloads;
}

/** Sends frames through the video pipeline, in simulated time. @returns the tags */
export async function sendFrames(frames: readonly CodedFrame[], sending: Sending = {}): Promise<FlvTag[]> {
  const { marker = (isLast) => isLast, units = ({ nalUnits }) => nalUnits, track = {} } = sending;
  const tags: FlvTag[] = [];
  const line = new VideoLine({ tag: (tag) => tags.push(tag), frame() {}, size() {} });
  const subscription = new FakeSubscription();
  let nowMs = 1000;
  const input = await VideoInput.create(
    {
      kind: 'video',
      codec: 'h264',
      clockRate: 90_000,
      subscribe: () => Promise.resolve(subscription as never),
      ...track,
    },
    new StreamTime(),
    DEFAULT_MAX_FRAME_SIZE,
    { frame: (frame, atMs) => line.take(frame, atMs), keyFrameNeeded() {}, refused() {} },
    () => nowMs,
  );
  for (const [index, frame] of frames.entries()) {
    nowMs = 1000 + frame.decodeMs;
    const list = units(frame, index);
    for (const [unit, nalUnit] of list.entries()) {
      const payloads = payloadsOf(nalUnit);
      for (const [part, payload] of payloads.entries())
        subscription.packet(
          9000 + frame.presentMs * 90,
          payload,
          marker(unit === list.length - 1 && part === payloads.length - 1, unit) &&
            (part === payloads.length - 1 || marker(false, unit)),
        );
    }
    input.poll(nowMs);
  }
  nowMs += 1000;
  input.poll(nowMs);
  input.close();
  return tags;
}

/** An FLV file of tags, without audio, from 0. */
export function flvOf(tags: readonly FlvTag[]): Buffer {
  const base = tags[0]!.timestamp;
  const shifted = tags.map((tag) => encodeFlvTag({ ...flvTag(TAG_VIDEO, tag.timestamp - base, tag.data) }));
  return Buffer.concat([flvHeader({ audio: false, video: true }), ...shifted]);
}

export const isParameterSet = (nalUnit: Buffer): boolean => [NAL_SPS, NAL_PPS].includes(nalType(nalUnit) as 7);
