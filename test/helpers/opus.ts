import { execFileSync } from 'node:child_process';

/** Milliseconds per packet. */
export const OPUS_PACKET_MS = 20;

/** Opus in Ogg with one packet per page, from an audio filter of ffmpeg. */
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

/** Two seconds of packets, without the container. */
export function opusPackets(filter: string, channels: 1 | 2): Buffer[] {
  return packetsOf(opusFile(filter, channels));
}

/** The packets of a file made by {@link opusFile}. */
export function packetsOf(file: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const segments = file[at + 26]!;
    const start = at + 27 + segments;
    const length = file.subarray(at + 27, start).reduce((sum, segment) => sum + segment, 0);
    packets.push(file.subarray(start, start + length));
    at = start + length;
  }
  // The first two pages are headers.
  return packets.slice(2);
}
