/** The fields of a RIFF WAV file's format chunk that its duration depends on. */
export interface WavFormat {
  readonly channels: number;
  /** Hertz. */
  readonly sampleRate: number;
  /** Of the audio data; at least 1. */
  readonly bytesPerSecond: number;
}

const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const FORMAT_BYTES = 16;

/**
 * Reads the format chunk of a RIFF WAV file from the file's first bytes; `undefined` if it is not among them, or is no
 * WAV file's.
 */
export function parseWavFormat(head: Buffer): WavFormat | undefined {
  if (head.length < RIFF_HEADER_BYTES) return undefined;
  if (head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE') return undefined;
  for (let at = RIFF_HEADER_BYTES; at + CHUNK_HEADER_BYTES + FORMAT_BYTES <= head.length;) {
    const body = at + CHUNK_HEADER_BYTES;
    if (head.toString('latin1', at, at + 4) === 'fmt ') {
      const channels = head.readUInt16LE(body + 2);
      const sampleRate = head.readUInt32LE(body + 4);
      // The chunk's own byte rate need not be true; readers calculate with the block size.
      const bytesPerBlock = head.readUInt16LE(body + 12);
      return { channels, sampleRate, bytesPerSecond: bytesPerSecond(head, body, sampleRate, bytesPerBlock) };
    }
    const size = head.readUInt32LE(at + 4);
    at = body + size + (size & 1);
  }
  return undefined;
}

const PCM = 1;
const IEEE_FLOAT = 3;
const A_LAW = 6;
const MU_LAW = 7;
const EXTENSIBLE = 0xfffe;
/** Formats in which one block is one sample of each channel. */
const UNCOMPRESSED = new Set([PCM, IEEE_FLOAT, A_LAW, MU_LAW, EXTENSIBLE]);

function bytesPerSecond(head: Buffer, body: number, sampleRate: number, bytesPerBlock: number): number {
  const told = head.readUInt32LE(body + 8);
  return Math.max(1, UNCOMPRESSED.has(head.readUInt16LE(body)) ? sampleRate * bytesPerBlock : told);
}
