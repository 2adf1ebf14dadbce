import { execFileSync } from 'node:child_process';

/** Milliseconds of each packet. */
export const OPUS_PACKET_MS = 20;

/** Opus in Ogg, a packet a page, made by an audio filter of ffmpeg. */
export function opusFile(filter: string, channels: 1 | 2, seconds = 2): Buffer {
  return execFileSync(
    'ffmpeg',
    [
      '-loglevel',
      'error',
      '-f',
      'lavfi',
      '-i',
      filter,
      '-t',
      String(seconds),
      '-ac',
      String(channels),
      '-ar',
      '48000',
      '-c:a',
      'libopus',
      '-b:a',
      '64k',
      '-page_duration',
      '20000',
      '-f',
      'ogg',
      'pipe:1',
    ],
    { maxBuffer: Infinity },
  );
}

/** Two seconds of it, without the file around the packets. */
export function opusPackets(filter: string, channels: 1 | 2): Buffer[] {
  return packetsOf(opusFile(filter, channels));
}

/** The packets of what {@link opusFile} made. */
export function packetsOf(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const segments = file[at + 26]!;
    const start = at + 27 + segments;
    const length = file.subarray(at + 27, start).reduce((sum, segment) => sum + segment, 0);
    packets.push(file.subarray(start, start + length));
    at = start + length;
  }
  // Two pages are headers.
  return packets.slice(2);
}
