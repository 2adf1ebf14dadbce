import t from 'tap';
import { Av1Depacketizer } from '../../src/media/rtp/av1.ts';
import { H264Depacketizer } from '../../src/media/rtp/h264.ts';
import { ReorderBuffer } from '../../src/media/rtp/reorder-buffer.ts';
import { parseRtpPacket, type RtpPacket } from '../../src/media/rtp/rtp-packet.ts';
import type { VideoFrame } from '../../src/media/rtp/video-frame.ts';
import { Vp8Depacketizer } from '../../src/media/rtp/vp8.ts';
import { Vp9Depacketizer } from '../../src/media/rtp/vp9.ts';
import { ivfFrameHeader, ivfHeader, type IvfFourcc } from '../../src/media/containers/ivf.ts';
import { avcFrame, avcSequenceHeader, parseSps } from '../../src/media/codecs/avc.ts';
import { flvTag, TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { captureRtp, ffmpeg, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { packetizeAv1, rtpPacket, splitObus } from '../helpers/rtp.ts';
import { encodeFlvTag } from '../helpers/flv-tags.ts';

/** About one megabit per second: a burst fits into the socket's buffer, so that loopback loses nothing. */
const SOURCE = ['-f', 'lavfi', '-i', 'testsrc2=s=640x358:r=30:d=2'];
const FRAMES = 60;

/** Packets in order, after a network that reorders some and duplicates others. */
function reorder(datagrams: readonly Buffer[]): RtpPacket[] {
  const packets = datagrams.map((datagram) => parseRtpPacket(datagram)).filter((packet) => packet !== undefined);
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

t.test('H.264 from RTP into FLV: every frame as encoded', async (t) => {
  const dir = t.testdir();
  const file = `${dir}/source.h264`;
  const encode = [
    '-c:v',
    'libx264',
    '-profile:v',
    'high',
    '-tune',
    'zerolatency',
    '-preset',
    'veryfast',
    '-g',
    '20',
    '-x264-params',
    'slices=3:aud=1',
    '-b:v',
    '1M',
    '-maxrate',
    '1M',
    '-bufsize',
    '200k',
  ];
  await ffmpeg([...SOURCE, ...encode, '-f', 'h264', file]);
  const datagrams = await captureRtp(['-readrate', '2', '-r', '30', '-i', file, '-c', 'copy']);
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
        const { sps, pps } = depacketizer.parameterSets!;
        t.match(parseSps(sps), { profile: 100, width: 640, height: 358, frameRate: 30 });
        tags.push(encodeFlvTag(flvTag(TAG_VIDEO, time, avcSequenceHeader(sps, pps))));
      }
      t.notOk(unit.corrupted);
      tags.push(encodeFlvTag(flvTag(TAG_VIDEO, time, avcFrame(unit.nalUnits, unit.keyFrame))));
    }
  }
  t.equal(depacketizer.damagedFrames, 0);
  t.equal(keyFrames, 3);
  const flv = Buffer.concat([flvHeader({ audio: false, video: true }), ...tags]);
  const source = await frameHashes(['-i', file]);
  t.equal(source.length, FRAMES);
  t.same(await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flv), source);

  await t.test('with lost packets: the remaining frames decode correctly', async (t) => {
    const buffer = new ReorderBuffer({ maxPackets: 64 });
    const lossy = new H264Depacketizer();
    const tags: Buffer[] = [];
    let frames = 0;
    for (const [index, datagram] of datagrams.entries()) {
      if (index % 90 === 60) continue;
      buffer.push(parseRtpPacket(datagram)!, index);
      for (const item of buffer.pop(index, 5)) {
        if ('lost' in item) {
          lossy.packetLost();
          continue;
        }
        for (const unit of lossy.push(item)) {
          if (unit.corrupted) continue;
          if (unit.keyFrame)
            tags.push(
              encodeFlvTag(
                flvTag(TAG_VIDEO, frames * 33, avcSequenceHeader(lossy.parameterSets!.sps, lossy.parameterSets!.pps)),
              ),
            );
          tags.push(encodeFlvTag(flvTag(TAG_VIDEO, frames++ * 33, avcFrame(unit.nalUnits, unit.keyFrame))));
        }
      }
    }
    t.ok(buffer.counters.lost >= 2 && lossy.damagedFrames >= 2);
    const decoded = await frameHashes(
      ['-f', 'flv', '-i', 'pipe:0', '-fps_mode', 'passthrough'],
      Buffer.concat([flvHeader({ audio: false, video: true }), ...tags]),
    );
    t.ok(frames > 10 && frames < FRAMES, `${frames} frames left`);
    t.equal(decoded.length, frames);
    for (const hash of decoded) t.ok(source.includes(hash), 'as in the source');
  });
});

interface Frames {
  push(packet: RtpPacket): readonly VideoFrame[];
  readonly damagedFrames: number;
}

for (const [name, fourcc, depacketizer, encode] of [
  ['VP8', 'VP80', new Vp8Depacketizer(), ['-c:v', 'libvpx']],
  ['VP9', 'VP90', new Vp9Depacketizer(), ['-c:v', 'libvpx-vp9', '-strict', 'experimental']],
] as Array<[string, IvfFourcc, Frames, string[]]>) {
  t.test(`${name} from RTP into IVF: every frame as encoded`, async (t) => {
    const dir = t.testdir();
    const file = `${dir}/source.ivf`;
    await ffmpeg([
      ...SOURCE,
      ...encode,
      '-deadline',
      'realtime',
      '-cpu-used',
      '8',
      '-lag-in-frames',
      '0',
      '-g',
      '20',
      '-b:v',
      '800k',
      file,
    ]);
    const datagrams = await captureRtp(['-readrate', '2', '-i', file, '-c', 'copy', '-strict', 'experimental']);
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
    t.equal(depacketizer.damagedFrames, 0);
    t.ok(keyFrames >= 3);
    const source = await frameHashes(['-i', file]);
    t.equal(source.length, FRAMES);
    t.same(await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], Buffer.concat(parts)), source);
  });
}

t.test('AV1 from RTP into IVF: every frame as encoded', async (t) => {
  const encode = [
    '-c:v',
    'libaom-av1',
    '-usage',
    'realtime',
    '-cpu-used',
    '8',
    '-lag-in-frames',
    '0',
    '-g',
    '20',
    '-b:v',
    '1M',
    '-f',
    'ivf',
    '-',
  ];
  const source = await ffmpeg([...SOURCE, ...encode]);
  const expected = await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], source);
  t.equal(expected.length, FRAMES);
  for (const counted of [false, true]) {
    const depacketizer = new Av1Depacketizer();
    const parts = [ivfHeader({ fourcc: 'AV01', width: 640, height: 358, timebase: [1, 30] })];
    const keyFrames: number[] = [];
    let frames = 0;
    for (let offset = 32, frame = 0; offset < source.length; frame++) {
      const length = source.readUInt32LE(offset);
      const temporalUnit = source.subarray(offset + 12, offset + 12 + length);
      offset += 12 + length;
      const payloads = packetizeAv1(splitObus(temporalUnit).slice(1), 300, counted);
      for (const [index, payload] of payloads.entries()) {
        for (const assembled of depacketizer.push(
          rtpPacket({ timestamp: frame * 3000, payload, marker: index === payloads.length - 1 }),
        )) {
          if (assembled.keyFrame) {
            keyFrames.push(frames);
            t.match(assembled, { width: 640, height: 358 });
          }
          parts.push(ivfFrameHeader(assembled.data.length, frames++), assembled.data);
        }
      }
    }
    t.same(keyFrames, [0, 20, 40]);
    t.same(await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], Buffer.concat(parts)), expected);
  }
});
