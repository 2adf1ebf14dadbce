import { EventEmitter } from 'node:events';
import t from 'tap';
import { Av1Depacketizer } from '../../../src/depacketize/av1.ts';
import type { Depacketizer } from '../../../src/depacketize/depacketizer.ts';
import { H264Depacketizer, type AccessUnit } from '../../../src/depacketize/h264.ts';
import { MediaClock } from '../../../src/depacketize/media-clock.ts';
import type { VideoFrame } from '../../../src/depacketize/video-frame.ts';
import { Vp8Depacketizer } from '../../../src/depacketize/vp8.ts';
import { Vp9Depacketizer } from '../../../src/depacketize/vp9.ts';
import { reorderWaitMs, TrackInput } from '../../../src/encode/track-input.ts';
import type { TrackSubscription, TrackSubscriptionEvents } from '../../../src/stream/live-stream.ts';
import { randomFrom } from '../../helpers/random.ts';
import { packetizeAv1 } from '../../helpers/rtp.ts';

t.test('a missing packet is waited for as long as sending it again twice takes', async (t) => {
  const UNKNOWN = 0;
  t.strictSame([1, 30, 100, 1000].map(reorderWaitMs), [82, 140, 280, 400]);
  t.equal(reorderWaitMs(UNKNOWN), 180, 'as for an ordinary line');
});

const SEED = 7;
const PICTURES = 60;
const PART_BYTES = 50;

interface Codec {
  readonly depacketizer: () => Depacketizer<AccessUnit> | Depacketizer<VideoFrame>;
  /** The payloads of the packets of one picture. */
  readonly payloads: (body: Buffer, key: boolean) => Buffer[];
}

const parts = (bytes: Buffer): Buffer[] => Array.from({ length: Math.ceil(bytes.length / PART_BYTES) }, (_, i) => bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES));
/** Each part behind a byte that tells the first and the last from the others. */
const described = (bytes: Buffer, first: number, last: number): Buffer[] =>
  parts(bytes).map((part, i, all) => Buffer.concat([Buffer.of((i === 0 ? first : 0) | (i === all.length - 1 ? last : 0)), part]));

const CODECS: Readonly<Record<string, Codec>> = {
  h264: {
    depacketizer: () => new H264Depacketizer(),
    payloads: (body, key) => [
      ...(key ? [Buffer.from('6742c01fda014016e840', 'hex'), Buffer.from('68ce3c80', 'hex')] : []),
      Buffer.concat([Buffer.from('06050102', 'hex'), body.subarray(0, 20)]),
      ...described(Buffer.concat([Buffer.of(0x9a), body]), 0x80, 0x40).map((part) => Buffer.concat([Buffer.of(0x7c, part[0]! | (key ? 5 : 1)), part.subarray(1)])),
    ],
  },
  vp8: { depacketizer: () => new Vp8Depacketizer(), payloads: (body, key) => described(Buffer.concat([Buffer.from(key ? '1001009d012a80426841' : '1101', 'hex'), body]), 0x10, 0) },
  vp9: { depacketizer: () => new Vp9Depacketizer(), payloads: (body, key) => described(Buffer.concat([Buffer.from(key ? '82498342004ff02cf0' : '8601', 'hex'), body]), 0x08, 0x04) },
  av1: { depacketizer: () => new Av1Depacketizer(), payloads: (body, key) => packetizeAv1([...(key ? [Buffer.from('0800000004a4d7b9ff0000', 'hex')] : []), Buffer.concat([Buffer.of(0x30, key ? 0x10 : 0x30), body])], PART_BYTES, true) },
};

/** Packets in their order, or nearly; the first one is the first. */
function datagrams(payloads: Codec['payloads'], random: () => number): Buffer[] {
  const packets = Array.from({ length: PICTURES }, (_, picture) => payloads(Buffer.from(Array.from({ length: 30 + random() * 600 }, () => random() * 256)), picture % 10 === 0).map((payload, i, all) => ({ picture, payload, marker: i === all.length - 1 }))).flat();
  const out = packets.map(({ picture, payload, marker }, i) => {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = marker ? 0x80 | 96 : 96;
    header.writeUInt16BE(i, 2);
    header.writeUInt32BE(picture * 3000, 4);
    return { datagram: Buffer.concat([header, payload]), at: i === 0 ? -1 : i + random() * 4 };
  });
  return out.sort((a, b) => a.at - b.at).map(({ datagram }) => datagram);
}

/** What comes out when packets are read a few at a time; each time into the same memory if `shared`. */
async function picturesOf({ depacketizer: create }: Codec, packets: readonly Buffer[], shared: boolean): Promise<string[]> {
  const random = randomFrom(SEED);
  const subscription = Object.assign(new EventEmitter<TrackSubscriptionEvents>(), { roundTripMs: 0, requestKeyFrame: () => {}, close: () => {} }) as TrackSubscription;
  const depacketizer = create();
  const pictures: (string | Buffer)[] = [];
  await TrackInput.create({ kind: 'video', codec: 'h264', clockRate: 90_000, subscribe: () => Promise.resolve(subscription) }, new MediaClock().track('video', 90_000), {
    packet: (packet) => {
      for (const picture of depacketizer.push(packet)) pictures.push('data' in picture ? picture.data : picture.nalUnits.flat().map((piece) => piece.toString('hex')).join(''));
    },
    lost: (count) => pictures.push(`lost ${count}`),
    keep: (memory) => depacketizer.keep(memory),
  });
  const memory = Buffer.allocUnsafeSlow(65_536);
  for (let i = 0; i < packets.length; ) {
    let used = 0;
    for (const end = Math.min(packets.length, i + 1 + Math.floor(random() * 8)); i < end; i++) {
      const packet = packets[i]!;
      subscription.emit('rtp', shared ? memory.subarray(used, (used += packet.copy(memory, used))) : packet);
    }
    if (!shared) continue;
    subscription.emit('reused', memory.buffer);
    memory.fill(0xee);
  }
  return pictures.map((picture) => picture.toString('hex' as 'utf8'));
}

t.test('what waits for more is whole although its memory is used again', async (t) => {
  for (const [name, codec] of Object.entries(CODECS)) {
    const packets = datagrams(codec.payloads, randomFrom(SEED));
    const expected = await picturesOf(codec, packets, false);
    t.equal(expected.length, PICTURES, `${name}: all pictures`);
    t.strictSame(await picturesOf(codec, packets, true), expected, name);
  }
});
