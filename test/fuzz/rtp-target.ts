import { StreamTime } from '../../src/renditions/stream-time.ts';
import { VideoInput } from '../../src/renditions/video-input.ts';
import { VideoLine } from '../../src/renditions/video-line.ts';
import { DEFAULT_MAX_FRAME_SIZE } from '../../src/renditions/frame-limit.ts';
import type { VideoTrack } from '../../src/streams/live-stream.ts';
import { FakeSubscription } from '../helpers/fake-publisher.ts';
import { encodeFlvTag } from '../helpers/flv-tags.ts';
import { H264Coder, type Coding } from '../helpers/h264-coder.ts';
import { payloadsOf } from '../helpers/h264-stream.ts';
import { mutate, type Random } from './mutate.ts';

const FRAME_MS = 33;
const FRAMES = 60;
const MAX_B_FRAMES = 7;
/** Of an RTP packet, before its payload. */
const HEADER_BYTES = 12;

/** What came out of the video pipeline. */
export interface Played {
  /** How many packets the input still holds, before it is closed; 0 unless they are counted. */
  readonly held: number;
  /** H.264 frames, without sequence headers. */
  readonly frames: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** What is wrong with it. */
  readonly fault: string | undefined;
}

/** Some way of coding: slices, B-frames, and everything that changes their headers. */
export function someCoding(random: Random): Coding {
  return {
    bFrames: random(MAX_B_FRAMES + 1),
    pyramid: random(2) === 0,
    openGop: random(2) === 0,
    slices: 1 + random(6),
    saysReordering: random(2) === 0,
    delimiters: random(2) === 0,
    groupLength: 2 + random(4),
    orderBits: 6 + random(6),
    ...(random(2) === 0 && { framesPerSecond: 1 + random(120) }),
  };
}

function packetsOf(coder: H264Coder, place: number, sequence: { next: number }, markAll: boolean): Buffer[] {
  const { nalUnits, ahead } = coder.next();
  const payloads = nalUnits.flatMap(payloadsOf);
  return payloads.map((payload, index) => {
    const header = Buffer.alloc(HEADER_BYTES);
    header[0] = 0x80;
    header[1] = (markAll || index === payloads.length - 1 ? 0x80 : 0) | 96;
    header.writeUInt16BE(sequence.next++ & 0xffff, 2);
    header.writeUInt32BE(((place + ahead) * FRAME_MS * 90) >>> 0, 4);
    header.writeUInt32BE(1, 8);
    return Buffer.concat([header, payload]);
  });
}

/** Packets that are changed, lost, repeated and exchanged, of one coder and then another one. */
function spoil(packets: Buffer[], random: Random, share: number): Buffer[] {
  if (share === 0) return packets;
  const spoilt = packets.flatMap((packet) => {
    if (random(share) > 0) return [packet];
    const kind = random(5);
    if (kind === 0) return [];
    if (kind === 1) return [packet, packet];
    return [mutate(packets, kind === 2 ? 0 : HEADER_BYTES, random)];
  });
  if (spoilt.length > 1 && random(share) === 0) spoilt.push(spoilt.shift()!);
  return spoilt;
}

/**
 * Plays two streams of H.264 one after the other, from RTP to FLV tags.
 *
 * @param share one packet of that many is spoilt; 0: none
 * @param collect collects garbage: packets that are held are counted
 */
export async function playH264(random: Random, share: number, collect?: () => Promise<void>): Promise<Played> {
  let [frames, bytesIn, bytesOut, lastMs] = [0, 0, 0, -Infinity];
  let fault: string | undefined;
  const line = new VideoLine({
    tag: (tag) => {
      bytesOut += encodeFlvTag(tag).length;
      if (tag.sequenceHeader) return;
      frames++;
      if (!(tag.timestamp > lastMs)) fault ??= `${tag.timestamp} ms after ${lastMs} ms`;
      if (tag.timestamp > 0xffff_ffff || tag.data.length < 5) fault ??= 'not a tag';
      lastMs = tag.timestamp;
    },
    frame() {},
    size() {},
  });
  const subscription = new FakeSubscription();
  let nowMs = 1000;
  const input = await VideoInput.create(
    { kind: 'video', codec: 'h264', clockRate: 90_000, subscribe: async () => subscription as never } as VideoTrack,
    new StreamTime(),
    DEFAULT_MAX_FRAME_SIZE,
    { frame: (frame, atMs) => line.take(frame, atMs), keyFrameNeeded() {}, refused() {} },
    () => nowMs,
  );
  const sent: WeakRef<ArrayBuffer>[] = [];
  const sequence = { next: random(65_536) };
  const markAll = share > 0 && random(4) === 0;
  for (let stream = 0, place = random(100_000); stream < 2; stream++) {
    const coder = new H264Coder(someCoding(random));
    // The B-frames before the last frame of the first stream are not sent.
    place += MAX_B_FRAMES;
    for (let frame = 0; frame < FRAMES; frame++) {
      nowMs += FRAME_MS;
      for (const packet of spoil(packetsOf(coder, place++, sequence, markAll), random, share)) {
        bytesIn += packet.length;
        // Not a part of Node's pool, so that it is known when it is free.
        const bytes = new Uint8Array(packet).buffer;
        if (collect) sent.push(new WeakRef(bytes));
        subscription.emit('rtp', Buffer.from(bytes));
      }
      input.poll(nowMs);
    }
  }
  for (let end = 0; end < 10; end++) input.poll((nowMs += 100));
  await collect?.();
  const held = sent.filter((bytes) => bytes.deref()).length;
  input.close();
  return { held, frames, bytesIn, bytesOut, fault };
}

/** Frames that {@link playH264} plays. */
export const PLAYED_FRAMES = 2 * FRAMES;
