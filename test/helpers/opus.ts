import { execFileSync } from 'node:child_process';

/** Milliseconds of each packet. */
export const OPUS_PACKET_MS = 20;

/** Two seconds of Opus, made by an audio filter of ffmpeg. */
export function opusPackets(filter: string, channels: 1 | 2): Buffer[] {
  // A packet a page, and two header pages before them.
  const file = execFileSync('ffmpeg', ['-loglevel', 'error', '-f', 'lavfi', '-i', filter, '-t', '2', '-ac', String(channels), '-c:a', 'libopus', '-b:a', '64k', '-page_duration', '20000', '-f', 'ogg', 'pipe:1']);
  const packets: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const segments = file[at + 26]!;
    const start = at + 27 + segments;
    const length = file.subarray(at + 27, start).reduce((sum, segment) => sum + segment, 0);
    packets.push(file.subarray(start, start + length));
    at = start + length;
  }
  return packets.slice(2);
}
