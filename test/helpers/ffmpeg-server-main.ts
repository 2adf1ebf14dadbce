import type { DecodedStream } from './ffmpeg8.ts';

/**
 * FFmpeg 8 as an RTMP server for one publisher, as `ffmpeg -listen 1 -i URL -f null -` is: `ffmpeg-server-main.ts URL`.
 * Decodes all that comes. Prints a dot for each packet of video, and one line of JSON for each stream when the publisher
 * is gone. FFmpeg comes from the package `node-av`, as for `ffmpeg-whip-main.ts`.
 */
const [url] = process.argv.slice(2) as [string];
const library = 'node-av';
const { Decoder, Demuxer } = await import(library);

type Counts = { -readonly [key in keyof DecodedStream]: DecodedStream[key] };
interface Line {
  readonly decoder: { decodeAll(packet: unknown): Promise<{ nbSamples: number }[]> };
  readonly counts: Counts;
}

async function decode({ decoder, counts }: Line, packet: unknown): Promise<void> {
  try {
    for (const { nbSamples } of await decoder.decodeAll(packet)) {
      counts.frames++;
      counts.samples += nbSamples;
    }
  } catch {
    counts.errors++;
  }
}

const input = await Demuxer.open(url, { options: { listen: '1' } });
const lines = new Map<number, Line>();
for (const stream of input.streams) {
  const decoder = await Decoder.create(stream);
  const { width, height, sampleRate } = stream.codecpar;
  const codec = decoder.getCodec().name;
  const counts = { codec, packets: 0, frames: 0, samples: 0, errors: 0, width, height, sampleRate };
  lines.set(stream.index, { decoder, counts });
}
for await (const packet of input.packets()) {
  if (!packet) break;
  const line = lines.get(packet.streamIndex)!;
  line.counts.packets++;
  if (line.counts.width > 0) process.stdout.write('.');
  await decode(line, packet);
}
process.stdout.write('\n');
for (const line of lines.values()) {
  await decode(line, null);
  console.log(JSON.stringify(line.counts));
}
await input.close();
