import t from 'tap';
import { H264Depacketizer } from '../../src/depacketize/h264.ts';
import { ReorderBuffer } from '../../src/depacketize/reorder-buffer.ts';
import { parseRtpPacket, type RtpPacket } from '../../src/depacketize/rtp-packet.ts';
import type { VideoFrame } from '../../src/depacketize/video-frame.ts';
import { Vp8Depacketizer } from '../../src/depacketize/vp8.ts';
import { Vp9Depacketizer } from '../../src/depacketize/vp9.ts';
import { ivfFrameHeader, ivfHeader, type IvfFourcc } from '../../src/ffmpeg/ivf.ts';
import { avcFrame, avcSequenceHeader, parseSps } from '../../src/flv/avc.ts';
import { flvTag, TAG_VIDEO } from '../../src/flv/flv-tag.ts';
import { encodeFlvTag, flvHeader } from '../../src/flv/flv-writer.ts';
import { captureRtp, ffmpeg, frameHashes } from '../helpers/ffmpeg-tool.ts';

const SOURCE = ['-f', 'lavfi', '-i', 'testsrc2=s=640x358:r=30:d=2'];
const PICTURES = 60;

/** Packets in order of sequence, as out of a network that reorders a little and sends some twice. */
function reorder(datagrams: readonly Buffer[]): RtpPacket[] {
  const packets = datagrams.map(datagram => parseRtpPacket(datagram)).filter(packet => packet !== undefined);
  for (let i = 1; i + 4 < packets.length; i += 5) [packets[i], packets[i + 2]] = [packets[i + 2]!, packets[i]!];
  for (let i = 7; i < packets.length; i += 40) packets.splice(i, 0, packets[i - 1]!);
  const buffer = new ReorderBuffer({ maxPackets: 64 });
  const inOrder: RtpPacket[] = [];
  for (const packet of packets) {
    buffer.push(packet, 0);
    for (const item of buffer.pop(0, 100)) {
      if ('lost' in item) throw new Error(`${item.lost} packets lost`);
      inOrder.push(item);
    }
  }
  t.ok(buffer.counters.reordered > 5 && buffer.counters.duplicates + buffer.counters.late > 0);
  return inOrder;
}

t.test('H.264 from RTP into FLV: every picture as encoded', async t => {
  const dir = t.testdir();
  const file = `${dir}/source.h264`;
  const encode = ['-c:v', 'libx264', '-profile:v', 'high', '-tune', 'zerolatency', '-preset', 'veryfast', '-g', '20', '-x264-params', 'slices=3:aud=1', '-b:v', '3M'];
  await ffmpeg([...SOURCE, ...encode, '-f', 'h264', file]);
  const datagrams = await captureRtp(['-re', '-r', '30', '-i', file, '-c', 'copy']);
  const depacketizer = new H264Depacketizer();
  const tags: Buffer[] = [];
  let keyFrames = 0;
  let start: number | undefined;
  for (const packet of reorder(datagrams)) {
    for (const unit of depacketizer.push(packet)) {
      start ??= unit.timestamp;
      const time = Math.round((((unit.timestamp - start) | 0) * 1000) / 90_000);
      if (unit.keyFrame) {
        keyFrames++;
        t.match(parseSps(unit.sps!), { profile: 100, width: 640, height: 358, frameRate: 30 });
        tags.push(encodeFlvTag(flvTag(TAG_VIDEO, time, avcSequenceHeader(unit.sps!, unit.pps!))));
      }
      t.notOk(unit.corrupted);
      tags.push(encodeFlvTag(flvTag(TAG_VIDEO, time, avcFrame(unit.nalUnits, unit.keyFrame))));
    }
  }
  t.equal(depacketizer.damagedPictures, 0);
  t.equal(keyFrames, 3);
  const flv = Buffer.concat([flvHeader({ audio: false, video: true }), ...tags]);
  const source = await frameHashes(['-i', file]);
  t.equal(source.length, PICTURES);
  t.same(await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flv), source);
});

interface Frames {
  push(packet: RtpPacket): VideoFrame[];
  readonly damagedPictures: number;
}

for (const [name, fourcc, depacketizer, encode] of [
  ['VP8', 'VP80', new Vp8Depacketizer(), ['-c:v', 'libvpx']],
  ['VP9', 'VP90', new Vp9Depacketizer(), ['-c:v', 'libvpx-vp9', '-strict', 'experimental']],
] as Array<[string, IvfFourcc, Frames, string[]]>) {
  t.test(`${name} from RTP into IVF: every picture as encoded`, async t => {
    const dir = t.testdir();
    const file = `${dir}/source.ivf`;
    await ffmpeg([...SOURCE, ...encode, '-deadline', 'realtime', '-cpu-used', '8', '-lag-in-frames', '0', '-g', '20', '-b:v', '2M', file]);
    const datagrams = await captureRtp(['-re', '-i', file, '-c', 'copy', '-strict', 'experimental']);
    const parts = [ivfHeader({ fourcc, width: 640, height: 358, timebase: [1, 90_000] })];
    let keyFrames = 0;
    let start: number | undefined;
    for (const packet of reorder(datagrams)) {
      for (const frame of depacketizer.push(packet)) {
        start ??= frame.timestamp;
        if (frame.keyFrame) {
          keyFrames++;
          t.match(frame, { width: 640, height: 358 });
        }
        parts.push(ivfFrameHeader(frame.data.length, (frame.timestamp - start) >>> 0), frame.data);
      }
    }
    t.equal(depacketizer.damagedPictures, 0);
    t.ok(keyFrames >= 3);
    const source = await frameHashes(['-i', file]);
    t.equal(source.length, PICTURES);
    t.same(await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], Buffer.concat(parts)), source);
  });
}
