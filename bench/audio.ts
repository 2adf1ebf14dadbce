import { encodeSound, encodingCost, makeSound, type AacEncoder, type Sound } from '../test/helpers/aac-encoders.ts';
import { whatIsNoticed } from '../test/helpers/hearing.ts';
import { opusFile } from '../test/helpers/opus.ts';
import { SOUNDS, SPEECH } from '../test/helpers/sounds.ts';
import { BenchError } from './bench-error.ts';
import type { BenchOptions } from './bench-options.ts';
import { figure, type Figure } from './measure.ts';
import { progress, type Report } from './report.ts';

const MONO_KBPS = 96;
/** Length of the audio that is judged. CPU is measured over a longer time, so that the start of a process hardly counts. */
const HEARD_SECONDS = 12;
const FRAMES_PER_SECOND = 48_000 / 1024;

const ENCODERS: readonly (readonly [AacEncoder, string])[] = [
  ['own', 'our encoder'],
  ['fast', 'libavcodec, fast coder'],
  ['twoloop', 'libavcodec, usual coder'],
];

interface Outcome {
  readonly load: Figure;
  readonly kbps: number;
  readonly noiseToMask: number;
  readonly disturbed: number;
}

/** Cost and quality of AAC encoders, on the same audio in Opus. */
export async function benchAudio({ rounds, seconds }: BenchOptions): Promise<Report> {
  const program = process.env['OPUS_TO_AAC_BIN'];
  if (!program) throw new BenchError('the shared encoder was not built: see docs/setup.md');
  const outcomes: { sound: string; encoder: string; outcome: Outcome }[] = [];
  for (const [name, filter] of Object.entries({ speech: SPEECH, ...SOUNDS })) {
    const sound = makeSound(filter, 1, HEARD_SECONDS);
    const long = { channels: 1, opus: opusFile(filter, 1, seconds) } as const;
    progress(`  ${name}`);
    // Alternating, so that the speed of the machine, which varies, affects all of them.
    const loads = new Map<AacEncoder, number[]>(ENCODERS.map(([encoder]) => [encoder, []]));
    for (let round = 0; round < rounds; round++)
      for (const [encoder] of ENCODERS)
        loads.get(encoder)!.push((await encodingCost(encoder, long, MONO_KBPS, program)) / (seconds * 10));
    for (const [encoder, title] of ENCODERS)
      outcomes.push({
        sound: name,
        encoder: title,
        outcome: { load: figure(loads.get(encoder)!), ...(await soundOf(encoder, sound, program)) },
      });
  }
  const mean = (title: string, key: 'kbps' | 'noiseToMask' | 'disturbed'): number => {
    const of = outcomes.filter(({ encoder }) => encoder === title);
    return of.reduce((sum, { outcome }) => sum + outcome[key], 0) / of.length;
  };
  return {
    name: 'audio',
    tables: [
      {
        title: `Opus to AAC, one channel of ${MONO_KBPS} kbit/s: percent of a core for a stream, Opus decoded as well; noise to mask (below −10 dB it is hard to hear); frames in which it stands out`,
        columns: ['sound', 'encoder', '% of a core', 'kbit/s', 'noise to mask, dB', 'frames, %'],
        rows: outcomes.map(({ sound, encoder, outcome }) => [
          sound,
          encoder,
          outcome.load,
          outcome.kbps,
          outcome.noiseToMask,
          outcome.disturbed,
        ]),
      },
      {
        title: 'All of them',
        columns: ['encoder', '% of a core', 'kbit/s', 'noise to mask, dB', 'frames, %'],
        rows: ENCODERS.map(([, title]) => [
          title,
          figure(outcomes.filter(({ encoder }) => encoder === title).map(({ outcome }) => outcome.load.median)),
          mean(title, 'kbps'),
          mean(title, 'noiseToMask'),
          mean(title, 'disturbed'),
        ]),
      },
    ],
    plot: {
      title: 'Noise to mask, one channel of 96 kbit/s',
      x: 'sound',
      y: 'decibels below the mask',
      series: ENCODERS.map(([, title]) => ({
        name: title,
        points: outcomes
          .filter(({ encoder }) => encoder === title)
          .map(({ sound, outcome }) => [sound, -outcome.noiseToMask] as const),
      })),
    },
    data: { outcomes },
  };
}

async function soundOf(encoder: AacEncoder, sound: Sound, program: string): Promise<Omit<Outcome, 'load'>> {
  const { frames, original, samples } = await encodeSound(encoder, sound, MONO_KBPS, program);
  return {
    kbps: (frames.reduce((sum, { length }) => sum + length, 0) * 8 * FRAMES_PER_SECOND) / frames.length / 1000,
    ...whatIsNoticed(original, samples),
  };
}
