// Makes the WAV files of media/, the same bytes every time: node scripts/make-sounds.mjs [FOLDER]
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = process.argv[2] ?? fileURLToPath(new URL('../media/', import.meta.url));

/** Half of full scale: loud enough to be measured, far from clipping after resampling. */
const LEVEL = 0.5;

/** Tones begin and end within this time, so that they do not click. */
const FADE_S = 0.01;

/** Sounds with different sample rates, channel counts and sample sizes. */
const SOUNDS = [
  // A steady 440 Hz tone, which is easy to recognize in the output.
  { name: 'test.wav', rate: 44_100, channels: 1, bits: 16, seconds: 2, sample: (t) => tone(t, 0, 2, 440) },
  // Left and right differ, so that a downmix or a swap is detected.
  {
    name: 'sound.wav',
    rate: 48_000,
    channels: 2,
    bits: 16,
    seconds: 1,
    sample: (t, channel) => tone(t, 0, 1, channel === 0 ? 523.25 : 659.25),
  },
  // Three decaying notes at 8 kHz, as in telephony.
  {
    name: 'chime.wav',
    rate: 8_000,
    channels: 1,
    bits: 16,
    seconds: 1.5,
    sample: (t) => ring(t, 0, 659.25) + ring(t, 0.25, 523.25) + ring(t, 0.5, 392),
  },
  // Two short beeps of unsigned 8-bit samples.
  {
    name: 'beep.wav',
    rate: 16_000,
    channels: 1,
    bits: 8,
    seconds: 0.8,
    sample: (t) => tone(t, 0, 0.2, 1000) + tone(t, 0.4, 0.2, 1000),
  },
];

function tone(t, start, duration, frequency) {
  if (t < start || t > start + duration) return 0;
  const fade = Math.min(1, (t - start) / FADE_S, (start + duration - t) / FADE_S);
  return LEVEL * fade * Math.sin(2 * Math.PI * frequency * (t - start));
}

/** A note with a short attack that decays by half every 120 ms. */
function ring(t, start, frequency) {
  if (t < start) return 0;
  const age = t - start;
  return 0.6 * LEVEL * Math.min(1, age / FADE_S) * 2 ** (-age / 0.12) * Math.sin(2 * Math.PI * frequency * age);
}

/** A RIFF WAVE file of PCM samples (format tag 1). */
function wav({ rate, channels, bits, seconds, sample }) {
  const frames = Math.round(rate * seconds);
  const frameBytes = (channels * bits) / 8;
  const dataBytes = frames * frameBytes;
  const file = Buffer.alloc(44 + dataBytes);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(36 + dataBytes, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate * frameBytes, 28);
  file.writeUInt16LE(frameBytes, 32);
  file.writeUInt16LE(bits, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(dataBytes, 40);
  for (let frame = 0; frame < frames; frame += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      const at = 44 + frame * frameBytes + (channel * bits) / 8;
      const value = sample(frame / rate, channel);
      // 8-bit samples are unsigned, with silence at 128.
      if (bits === 8) file.writeUInt8(Math.round(128 + value * 127), at);
      else file.writeInt16LE(Math.round(value * 32_767), at);
    }
  }
  return file;
}

mkdirSync(FOLDER, { recursive: true });
for (const sound of SOUNDS) {
  const bytes = wav(sound);
  writeFileSync(path.join(FOLDER, sound.name), bytes);
  console.log(`${sound.name}: ${bytes.length} bytes`);
}
