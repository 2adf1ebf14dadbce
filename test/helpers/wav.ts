/** A RIFF WAV file with 16-bit interleaved samples. */
function wav(samples: Int16Array, channels: number, sampleRate: number): Buffer {
  const file = Buffer.alloc(44 + samples.length * 2);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + samples.length * 2, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(sampleRate * 2 * channels, 28);
  file.writeUInt16LE(2 * channels, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(samples.length * 2, 40);
  samples.forEach((sample, i) => file.writeInt16LE(sample, 44 + i * 2));
  return file;
}

/** A tone in one channel; `amplitude` from 0 to 1. */
export function toneWav(seconds: number, frequency: number, amplitude: number, sampleRate = 48_000): Buffer {
  const samples = Int16Array.from({ length: Math.round(seconds * sampleRate) }, (_, i) =>
    Math.round(amplitude * 32767 * Math.sin((2 * Math.PI * frequency * i) / sampleRate)),
  );
  return wav(samples, 1, sampleRate);
}

/** Silence at 8 kHz. */
export const silentWav = (samples: number, channels = 1): Buffer =>
  wav(new Int16Array(samples * channels), channels, 8000);

/**
 * The frequency of a tone in hertz, from its zero crossings; 0 if less than half is a tone. Periods near the median count, so that short gaps
 * change nothing.
 *
 * @param samples 48 in a millisecond
 */
export function frequency(samples: Float32Array, from: number, to: number): number {
  const part = samples.subarray(from * 48, to * 48);
  const periods: number[] = [];
  let last: number | undefined;
  for (let i = 1; i < part.length; i++) {
    if (part[i - 1]! >= 0 || part[i]! < 0) continue;
    if (last !== undefined) periods.push(i - last);
    last = i;
  }
  periods.sort((a, b) => a - b);
  const median = periods[periods.length >> 1] ?? Infinity;
  // The period of a tone is no whole number of samples.
  const ofTone = periods.filter((period) => Math.abs(period - median) <= median / 10);
  const covered = ofTone.reduce((sum, period) => sum + period, 0);
  return covered < part.length / 2 ? 0 : (48_000 * ofTone.length) / covered;
}

/** By this much the gateway slows audio down that has become late, as on a busy machine. */
const SLOWED = 0.06;

/** Whether that is the frequency of a tone, which the gateway may have slowed down. Hertz. */
export const isTone = (heard: number, tone: number): boolean => Math.abs(heard - tone) <= tone * SLOWED;
