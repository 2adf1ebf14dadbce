/**
 * Audible noise of an encoder: the noise that it adds, relative to what the signal masks, by the model of ITU-R BS.1387 (PEAQ, basic version, 2.1 and 4.3). It does
 * not replace a listening test, but treats all encoders alike.
 */
export interface Noticed {
  /** Mean noise-to-mask ratio in decibels. Noise below −10 is hard to hear. */
  readonly noiseToMask: number;
  /** Percentage of frames in which the noise exceeds the mask by more than 1.5 dB in any band. */
  readonly disturbed: number;
}

const SAMPLE_RATE = 48_000;
const FRAME = 2048;
const HOP = FRAME / 2;
const BINS = FRAME / 2 + 1;
const BARKS_PER_BAND = 0.25;
/** Sound pressure level of full scale, in decibels. */
const FULL_SCALE_DB = 92;
/** Quieter frames are ignored. */
const SILENT_DB = 22;
const DISTURBED_DB = 1.5;

const barkOf = (hertz: number): number => 7 * Math.asinh(hertz / 650);
const hertzOf = (bark: number): number => 650 * Math.sinh(bark / 7);
const decibels = (ratio: number): number => 10 * Math.log10(ratio + 1e-12);

const LOWEST_BARK = barkOf(80);
const BANDS = Math.floor((barkOf(18_000) - LOWEST_BARK) / BARKS_PER_BAND);
const centres = Array.from({ length: BANDS }, (_, band) => hertzOf(LOWEST_BARK + (band + 0.5) * BARKS_PER_BAND));
/** Internal noise of the ear. */
const innerNoise = centres.map((hertz) => 10 ** (0.1456 * (hertz / 1000) ** -0.8));
/** How far below the excitation noise is masked. */
const maskFactors = centres.map(
  (_, band) => 10 ** (-Math.max(3, band * BARKS_PER_BAND > 12 ? 0.25 * band * BARKS_PER_BAND : 0) / 10),
);
/** Share of the masking that remains one frame later. */
const lasting = centres.map((hertz) => Math.exp(-HOP / SAMPLE_RATE / (0.008 + (100 / hertz) * 0.022)));

const scale = 10 ** (FULL_SCALE_DB / 20) / ((FRAME / 4) * Math.sqrt(8 / 3));
const hann = Float64Array.from(
  { length: FRAME },
  (_, i) => Math.sqrt(8 / 3) * scale * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (FRAME - 1))),
);
/** Frequency response of the outer and middle ear, for amplitudes. */
const earWeights = Float64Array.from({ length: BINS }, (_, bin) => {
  const kilohertz = Math.max(0.02, (bin * SAMPLE_RATE) / FRAME / 1000);
  return (
    10 ** ((-2.184 * kilohertz ** -0.8 + 6.5 * Math.exp(-0.6 * (kilohertz - 3.3) ** 2) - 0.001 * kilohertz ** 3.6) / 20)
  );
});
/** For each band, its FFT bins and the share of each bin. */
const bandBins = centres.map((_, band) => {
  const binHertz = SAMPLE_RATE / FRAME;
  const [low, high] = [
    hertzOf(LOWEST_BARK + band * BARKS_PER_BAND),
    hertzOf(LOWEST_BARK + (band + 1) * BARKS_PER_BAND),
  ];
  return Array.from({ length: BINS }, (_, bin) => ({
    bin,
    share: Math.max(0, Math.min((bin + 0.5) * binHertz, high) - Math.max((bin - 0.5) * binHertz, low)) / binHertz,
  })).filter(({ share }) => share > 0);
});

/** @param heard aligned with `original` and of the same length; both at 48 kHz, from −1 to 1 */
export function whatIsNoticed(original: Float32Array, heard: Float32Array): Noticed {
  const masking = new Float64Array(BANDS);
  let [ratios, ratioCount, frames, disturbed] = [0, 0, 0, 0];
  for (let start = 0; start + FRAME <= original.length; start += HOP) {
    const [wanted, got] = [magnitudes(original, start), magnitudes(heard, start)];
    const excitation = spread(bandEnergies(wanted).map((energy, band) => energy + innerNoise[band]!));
    const noise = bandEnergies(wanted.map((value, bin) => value - got[bin]!));
    const isSilent = wanted.reduce((sum, value) => sum + value ** 2, 0) < 10 ** (SILENT_DB / 10);
    let worst = 0;
    for (let band = 0; band < BANDS; band++) {
      masking[band] = lasting[band]! * masking[band]! + (1 - lasting[band]!) * excitation[band]!;
      const ratio = noise[band]! / (Math.max(masking[band]!, excitation[band]!) * maskFactors[band]!);
      worst = Math.max(worst, ratio);
      if (!isSilent) ratios += ratio;
    }
    if (isSilent) continue;
    ratioCount += BANDS;
    frames++;
    if (decibels(worst) > DISTURBED_DB) disturbed++;
  }
  return { noiseToMask: decibels(ratios / ratioCount), disturbed: (disturbed / frames) * 100 };
}

function bandEnergies(amplitudes: Float64Array): number[] {
  return bandBins.map((bins) =>
    bins.reduce((sum, { bin, share }) => sum + share * (amplitudes[bin]! * earWeights[bin]!) ** 2, 0),
  );
}

const DOWNWARD_DB = 27;
const ADDED_AS = 0.4;
const spreadNothing = spreadUnnormalized(new Array<number>(BANDS).fill(1));

/** Spreads the excitation of each band to its neighbours; louder bands spread further upwards. */
function spread(energies: readonly number[]): number[] {
  return spreadUnnormalized(energies).map((energy, band) => energy / spreadNothing[band]!);
}

function spreadUnnormalized(energies: readonly number[]): number[] {
  const sums = new Float64Array(BANDS);
  const slopes = new Float64Array(BANDS);
  for (let from = 0; from < BANDS; from++) {
    const upward = Math.min(-4, -24 - 230 / centres[from]! + 0.2 * decibels(energies[from]!));
    let total = 0;
    for (let to = 0; to < BANDS; to++)
      total += slopes[to] = 10 ** (((to < from ? DOWNWARD_DB : upward) * (to - from) * BARKS_PER_BAND) / 10);
    for (let to = 0; to < BANDS; to++) sums[to]! += ((energies[from]! * slopes[to]!) / total) ** ADDED_AS;
  }
  return Array.from(sums, (sum) => sum ** (1 / ADDED_AS));
}

function magnitudes(samples: Float32Array, start: number): Float64Array {
  const real = hann.map((weight, i) => weight * (samples[start + i] ?? 0));
  const imaginary = new Float64Array(FRAME);
  transform(real, imaginary);
  return Float64Array.from({ length: BINS }, (_, bin) => Math.hypot(real[bin]!, imaginary[bin]!));
}

/** The discrete Fourier transform, in place. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  for (let i = 1, j = 0; i < FRAME; i++) {
    let bit = FRAME >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [real[i], real[j]] = [real[j]!, real[i]!];
  }
  for (let size = 2; size <= FRAME; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const [cosine, sine] = [Math.cos((2 * Math.PI * k) / size), -Math.sin((2 * Math.PI * k) / size)];
      for (let low = k; low < FRAME; low += size) {
        const high = low + size / 2;
        const r = real[high]! * cosine - imaginary[high]! * sine;
        const i = real[high]! * sine + imaginary[high]! * cosine;
        [real[high], imaginary[high]] = [real[low]! - r, imaginary[low]! - i];
        [real[low], imaginary[low]] = [real[low]! + r, imaginary[low]! + i];
      }
    }
  }
}
