const SAMPLE_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const HEADER_BYTES = 7;

/** The ADTS header (ISO/IEC 13818-7, 6.2), without CRC, of a raw AAC-LC frame of `frameBytes` bytes. */
export function adtsHeader(frameBytes: number, sampleRate: number, channels: number): Buffer {
  const index = SAMPLE_RATES.indexOf(sampleRate);
  if (index < 0) throw new RangeError(`AAC has no sample rate of ${sampleRate} Hz`);
  const total = frameBytes + HEADER_BYTES;
  return Buffer.of(
    0xff,
    0xf1,
    (1 << 6) | (index << 2) | (channels >> 2),
    ((channels & 3) << 6) | (total >> 11),
    (total >> 3) & 0xff,
    ((total & 7) << 5) | 0x1f,
    0xfc,
  );
}
