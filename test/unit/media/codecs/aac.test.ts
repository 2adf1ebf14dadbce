import fc from 'fast-check';
import t from 'tap';
import {
  aacFrame,
  aacSequenceHeader,
  AdtsReader,
  audioSpecificConfig,
  silentAacFrame,
} from '../../../../src/media/codecs/aac.ts';
import { adtsHeader } from '../../../helpers/adts.ts';

/** A frame of AAC-LC at 48 kHz, stereo. */
function adts(raw: Buffer, crc = false): Buffer {
  const length = raw.length + (crc ? 9 : 7);
  const header = Buffer.of(
    0xff,
    crc ? 0xf0 : 0xf1,
    (1 << 6) | (3 << 2),
    (2 << 6) | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  );
  return Buffer.concat([header, Buffer.alloc(crc ? 2 : 0), raw]);
}

t.test('configurations', async (t) => {
  t.equal(audioSpecificConfig(48_000, 2).toString('hex'), '1190');
  t.equal(audioSpecificConfig(44_100, 1).toString('hex'), '1208');
  t.equal(aacSequenceHeader(48_000, 2).toString('hex'), 'af001190');
  t.throws(() => audioSpecificConfig(47_999, 2), RangeError);
  for (const channels of [0, 7, NaN]) t.throws(() => audioSpecificConfig(48_000, channels), RangeError);
});

t.test('tag body', async (t) => {
  t.equal(aacFrame(Buffer.from('2110', 'hex')).toString('hex'), 'af012110');
});

t.test('silent frames, bit by bit', async (t) => {
  // SCE 000, tag 0000, gain 00000000, ics_info 0 00 0 000000 0, tools 000, END 111, filled up.
  t.equal(silentAacFrame(1).toString('hex'), '00000007');
  // CPE 001, tag 0000, common window 1, ics_info, ms_mask 00, twice gain and tools, END 111, filled up.
  t.equal(silentAacFrame(2).toString('hex'), '21000000001c');
});

t.test('frames with and without checksum, cut anywhere, garbage between them', async (t) => {
  const raw = [Buffer.alloc(5, 1), Buffer.alloc(300, 2), Buffer.alloc(1, 3)];
  const stream = Buffer.concat([
    Buffer.from('fff0ff', 'hex'),
    adts(raw[0]!),
    Buffer.from('garbage'),
    adts(raw[1]!, true),
    adts(raw[2]!),
  ]);
  for (let step = 1; step < 20; step++) {
    const reader = new AdtsReader();
    t.equal(reader.config, undefined);
    const frames: Buffer[] = [];
    for (let offset = 0; offset < stream.length; offset += step)
      frames.push(...reader.push(stream.subarray(offset, offset + step)));
    t.same(frames, raw);
    t.same(reader.config, { sampleRate: 48_000, channels: 2 });
  }
});

t.test('a round trip of an ADTS header', async (t) => {
  for (const [sampleRate, channels, length] of [
    [48_000, 2, 371],
    [44_100, 1, 1],
    [16_000, 6, 8184],
  ] as const) {
    const reader = new AdtsReader();
    t.same(reader.push(Buffer.concat([adtsHeader(length, sampleRate, channels), Buffer.alloc(length)])), [
      Buffer.alloc(length),
    ]);
    t.same(reader.config, { sampleRate, channels });
  }
});

t.test('skips invalid headers', async (t) => {
  const good = adts(Buffer.alloc(4, 9));
  for (const [index, value] of [
    [1, 0xf3],
    [2, 0x7c],
    [3, 0x00],
    [4, 0],
    [6, 0xfd],
  ] as const) {
    const bad = Buffer.from(good);
    bad[index] = value;
    const reader = new AdtsReader();
    t.same(reader.push(Buffer.concat([bad, good])), [Buffer.alloc(4, 9)], `byte ${index}`);
  }
});

t.test('any bytes, in any pieces: never throws, and finds the same frames', async (t) => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.constant(adts(Buffer.alloc(10))),
    fc.constant(Buffer.of(0xff, 0xf1)),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const whole = new AdtsReader().push(Buffer.concat(pieces));
      const reader = new AdtsReader();
      const cut = pieces.flatMap((piece) => reader.push(piece));
      return Buffer.concat(whole).equals(Buffer.concat(cut)) && whole.length === cut.length;
    }),
    { numRuns: 500 },
  );
});
