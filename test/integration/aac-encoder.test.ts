import t from 'tap';
import { encodeSound, makeSound, type Sound } from '../helpers/aac-encoders.ts';
import { whatIsNoticed } from '../helpers/hearing.ts';
import { SOUNDS } from '../helpers/sounds.ts';

const SECONDS = 3;
const MONO_KBPS = 96;
/** Two elements of 6144 bits, ISO/IEC 14496-3, 4.5.3.3. */
const MAX_FRAME_BYTES = 1536;
/** Decibels by which our noise-to-mask ratio may be worse than libavcodec's. */
const BEHIND = 2;
const FRAMES_PER_SECOND = 48_000 / 1024;

const program = process.env['OPUS_TO_AAC_BIN'];
if (!program) {
  t.pass('the shared encoder was not built: OPUS_TO_AAC_BIN', { skip: true });
} else {
  const kbpsOf = (frames: readonly Buffer[]): number =>
    (frames.reduce((sum, { length }) => sum + length, 0) * 8 * FRAMES_PER_SECOND) / frames.length / 1000;
  const side = ({ channels }: Sound, samples: Float32Array, index: number): Float32Array =>
    samples.filter((_, i) => i % channels === index);

  for (const [name, filter] of Object.entries(SOUNDS)) {
    await t.test(`${name}: no worse than libavcodec's`, async (t) => {
      const sound = makeSound(filter, 1, SECONDS);
      const [own, fast] = [
        await encodeSound('own', sound, MONO_KBPS, program),
        await encodeSound('fast', sound, MONO_KBPS, program),
      ];
      const [ownNoticed, fastNoticed] = [
        whatIsNoticed(own.original, own.samples),
        whatIsNoticed(fast.original, fast.samples),
      ];
      t.comment(
        `own ${JSON.stringify(ownNoticed)} ${kbpsOf(own.frames).toFixed(0)} kbit/s, fast ${JSON.stringify(fastNoticed)} ${kbpsOf(fast.frames).toFixed(0)} kbit/s`,
      );
      // Below −15 dB the difference is inaudible.
      t.ok(
        ownNoticed.noiseToMask < Math.max(fastNoticed.noiseToMask + BEHIND, -15),
        `noise to mask ${ownNoticed.noiseToMask}, libavcodec ${fastNoticed.noiseToMask}`,
      );
      t.ok(ownNoticed.noiseToMask < -10, 'hard to hear');
      t.ok(kbpsOf(own.frames) < MONO_KBPS * 1.03, `${kbpsOf(own.frames)} kbit/s`);
    });
  }

  await t.test('two channels stay separate, and equal channels stay equal', async (t) => {
    const sound = makeSound(
      `aevalsrc='0.4*sin(2*PI*440*t)*(1+sin(5*t))/2|0.3*sin(2*PI*1500*t)+0.2*random(0)':s=48000`,
      2,
      SECONDS,
    );
    const encoded = await encodeSound('own', sound, 128, program);
    for (const index of [0, 1]) {
      const { noiseToMask } = whatIsNoticed(side(sound, encoded.original, index), side(sound, encoded.samples, index));
      t.ok(noiseToMask < -10, `side ${index}: ${noiseToMask}`);
    }
    const alike = makeSound(
      `aevalsrc='${'0.4*sin(2*PI*440*t)+0.1*random(0)'}':s=48000,aformat=channel_layouts=mono,pan=stereo|c0=c0|c1=c0`,
      2,
      SECONDS,
    );
    const { original, samples } = await encodeSound('own', alike, 128, program);
    const apart = (heard: Float32Array): number =>
      side(alike, heard, 0).reduce((most, sample, i) => Math.max(most, Math.abs(sample - heard[2 * i + 1]!)), 0);
    t.ok(
      apart(samples) <= apart(original) + 0.02,
      `the sides differ by ${apart(samples)}, before by ${apart(original)}`,
    );
  });

  await t.test('no audible pre-echo', async (t) => {
    const sound = makeSound(
      `aevalsrc='if(gt(mod(t,0.5),0.25),0.8*(2*random(0)-1)*exp(-60*(mod(t,0.5)-0.25)),0)':s=48000`,
      1,
      SECONDS,
    );
    const { original, samples } = await encodeSound('own', sound, MONO_KBPS, program);
    // 10 ms before each attack but the first; Opus has smeared it as well.
    const before = (heard: Float32Array): number =>
      Math.max(
        ...[1, 2, 3, 4].map((attack) =>
          Math.sqrt(
            heard
              .subarray((attack * 0.5 + 0.25) * 48_000 - 960, (attack * 0.5 + 0.25) * 48_000 - 480)
              .reduce((sum, sample) => sum + sample ** 2, 0) / 480,
          ),
        ),
      );
    t.ok(before(samples) < before(original) + 0.003, `${before(samples)}, in Opus ${before(original)}`);
  });

  await t.test('extreme input gives valid frames within the largest size', async (t) => {
    const loud = ['gt(sin(300*t),0)*2-1', '1', '2*random(0)-1', 'gt(mod(t,0.0625),0.06)', '0', '0.000001*random(0)'];
    for (const left of loud) {
      const sound = makeSound(`aevalsrc='${left}|${loud[(loud.indexOf(left) + 2) % loud.length]}':s=48000`, 2, 1);
      for (const kbps of [32, 320]) {
        const { frames } = await encodeSound('own', sound, kbps, program);
        t.ok(
          frames.every(({ length }) => length > 0 && length <= MAX_FRAME_BYTES),
          `${left}, ${kbps} kbit/s: at most ${Math.max(...frames.map(({ length }) => length))} bytes`,
        );
      }
    }
  });

  await t.test('silence takes few bits', async (t) => {
    const { frames, samples } = await encodeSound(
      'own',
      makeSound('anullsrc=r=48000:cl=mono', 1, 1),
      MONO_KBPS,
      program,
    );
    t.ok(kbpsOf(frames) < 8, `${kbpsOf(frames)} kbit/s`);
    t.ok(samples.every((sample) => Math.abs(sample) < 1e-4));
  });
}
