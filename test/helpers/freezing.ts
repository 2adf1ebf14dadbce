import type { Test } from 'tap';
import { parseSpsSyntax } from '../../src/media/codecs/avc.ts';
import { NAL_IDR_SLICE, NAL_SLICE, nalType, nalUnitsOf, readSequenceHeader } from '../../src/media/codecs/avc-nal.ts';
import { parsePps } from '../../src/media/codecs/avc-pps.ts';
import { readSliceHeader, type SliceHeader } from '../../src/media/codecs/avc-slice-header.ts';
import { flvTag, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { freezeFrames } from '../../src/renditions/standby/freeze-frames.ts';
import { frameHashes } from './ffmpeg-tool.ts';
import { encodeFlvTag } from './flv-tags.ts';
import { randomFrom } from './random.ts';

/** H.264 in FLV tags, without the end of the sequence. */
export interface H264Stream {
  readonly header: FlvTag;
  readonly frames: readonly FlvTag[];
}

export function streamOf(tags: readonly FlvTag[]): H264Stream {
  return { header: tags.find((tag) => tag.sequenceHeader)!, frames: tags.filter((tag) => !tag.sequenceHeader) };
}

/** One hash for each frame of a stream, in decoding order; any error of the decoder rejects. */
export function decode(header: FlvTag, frames: readonly Buffer[]): Promise<string[]> {
  const tags = frames.map((data, index) => encodeFlvTag(flvTag(TAG_VIDEO, index * 33, data)));
  const file = Buffer.concat([flvHeader({ audio: false, video: true }), encodeFlvTag(header), ...tags]);
  return frameHashes(['-err_detect', 'explode', '-xerror', '-f', 'flv', '-i', '-'], file);
}

/** Freezes after several frames, goes on with a key frame each time, and compares every decoded frame. */
export async function proveFreeze(t: Test, { header, frames }: H264Stream, seed: number): Promise<void> {
  const next = randomFrom(seed);
  const bodies = frames.map(({ data }) => data);
  const hashes = await decode(header, bodies);
  t.equal(hashes.length, frames.length);
  const keyFrames = frames.flatMap((tag, index) => (tag.keyFrame ? [index] : []));
  const positions = [
    keyFrames[0]!,
    keyFrames[0]! + 1,
    ...Array.from({ length: 4 }, () => Math.floor(next() * frames.length)),
  ];
  const sent: Buffer[] = [];
  const expected: string[] = [];
  for (const position of positions) {
    const start = keyFrames.findLast((index) => index <= position)!;
    sent.push(...bodies.slice(start, position + 1));
    expected.push(...hashes.slice(start, position + 1));
    const frozen = freezeFrames(header, frames[position]!);
    if (!frozen) throw new Error(`frame ${position} cannot be frozen`);
    for (let left = 1 + Math.floor(next() * 70); left > 0; left--) {
      sent.push(frozen.next());
      expected.push(hashes[position]!);
    }
    // The encoder counts frames in the same way.
    const first = sliceOf(header, freezeFrames(header, frames[position]!)!.next());
    const following = frames[position + 1];
    if (following && !following.keyFrame) t.match(first, inOrder(sliceOf(header, following.data)));
  }
  t.ok(sent.every((body) => body.length > 5));
  t.strictSame(await decode(header, [...sent, ...bodies.slice(keyFrames[0])]), [...expected, ...hashes]);
}

const inOrder = ({ frameNum, orderLsb, orderDeltas }: SliceHeader): Partial<SliceHeader> => ({
  frameNum,
  orderLsb,
  orderDeltas,
});

/** The header of the first slice of a frame. */
function sliceOf(header: FlvTag, body: Buffer): SliceHeader {
  const { sps, pps } = readSequenceHeader(header.data);
  const slice = nalUnitsOf(body).find((unit) => nalType(unit) === NAL_SLICE || nalType(unit) === NAL_IDR_SLICE)!;
  return readSliceHeader(slice, parseSpsSyntax(sps[0]!)!, parsePps(pps[0]!)!);
}
