import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import t from 'tap';
import { BitWriter } from '../../../../src/media/bits.ts';
import { AdtsReader, silentAacFrame } from '../../../../src/media/codecs/aac.ts';
import { stereoFromMono } from '../../../../src/media/codecs/aac-stereo.ts';
import { adtsHeader } from '../../../helpers/adts.ts';

const SAMPLE_RATE = 48_000;

/** A tone with sharp clicks, so that the encoder uses long and short windows. */
const encoded = execFileSync('ffmpeg', [
  '-loglevel',
  'error',
  '-f',
  'lavfi',
  '-i',
  `sine=frequency=440:sample_rate=${SAMPLE_RATE}:duration=2`,
  '-f',
  'lavfi',
  '-i',
  `aevalsrc=if(lt(mod(t\\,0.3)\\,0.002)\\,0.9\\,0):s=${SAMPLE_RATE}:d=2`,
  '-filter_complex',
  'amix=inputs=2:normalize=0',
  '-ac',
  '1',
  '-c:a',
  'aac',
  '-aac_coder',
  'fast',
  '-aac_pns',
  '0',
  '-aac_tns',
  '0',
  '-b:a',
  '96k',
  '-f',
  'adts',
  'pipe:1',
]);

const decode = (frames: readonly Buffer[], channels: number): Float32Array => {
  const adts = Buffer.concat(frames.flatMap((frame) => [adtsHeader(frame.length, SAMPLE_RATE, channels), frame]));
  const samples = execFileSync(
    'ffmpeg',
    ['-loglevel', 'error', '-xerror', '-f', 'aac', '-i', 'pipe:0', '-c:a', 'pcm_f32le', '-f', 'f32le', 'pipe:1'],
    { input: adts },
  );
  return new Float32Array(new Uint8Array(samples).buffer);
};

t.test('both channels decode to the samples of the single one', async (t) => {
  const mono = new AdtsReader().push(encoded);
  const stereo = mono.map((frame) => stereoFromMono(frame)!);
  // Bits 16 and 17, behind id, tag, gain and a reserved bit: 2 is eight short windows.
  const sequences = new Set(mono.slice(1).map((frame) => frame[2]! >> 6));
  t.ok(sequences.has(0) && sequences.has(2), 'long windows and short ones');
  const before = decode(mono, 1);
  const after = decode(stereo, 2);
  t.equal(after.length, before.length * 2);
  t.ok(
    before.some((sample) => Math.abs(sample) > 0.1),
    'it is no silence',
  );
  t.ok(before.every((sample, index) => after[index * 2] === sample && after[index * 2 + 1] === sample));
});

t.test('silence stays silence', async (t) => {
  const stereo = stereoFromMono(silentAacFrame(1))!;
  t.ok(
    decode(
      Array.from({ length: 4 }, () => stereo),
      2,
    ).every((sample) => sample === 0),
  );
});

t.test('numbers of bands around the limit of one length field', async (t) => {
  for (const bands of [30, 31, 32]) {
    // A channel whose bands are all empty: element, tag, gain; long windows; one section of codebook 0; no tools; END.
    const mono = new BitWriter().bits(3, 0).bits(4, 0).bits(8, 100).bits(4, 0).bits(6, bands).bits(1, 0).bits(4, 0);
    if (bands >= 31) mono.bits(5, 31);
    const stereo = stereoFromMono(
      mono
        .bits(5, bands % 31)
        .bits(3, 0)
        .bits(3, 7)
        .toBuffer(),
    )!;
    t.ok(
      decode(
        Array.from({ length: 4 }, () => stereo),
        2,
      ).every((sample) => sample === 0),
      `${bands} bands`,
    );
  }
});

t.test('refuses frames that are not of one channel, and never throws', async (t) => {
  t.equal(stereoFromMono(silentAacFrame(2)), undefined);
  t.equal(stereoFromMono(Buffer.alloc(0)), undefined);
  t.equal(stereoFromMono(Buffer.alloc(20)), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void stereoFromMono(Buffer.from(bytes))));
});
