/**
 * Publishes a file with FFmpeg's WHIP muxer (FFmpeg 8), as `ffmpeg -re -i FILE -c copy -f whip URL` does:
 * `ffmpeg-whip-main.ts FILE URL TOKEN`. FFmpeg comes from the package `node-av`, which contains it as a library; the
 * distributions' ffmpeg is older or has no DTLS.
 */
const [file, url, token] = process.argv.slice(2) as [string, string, string];
const library = 'node-av';
const { Demuxer, Muxer } = await import(library);

const input = await Demuxer.open(file);
const output = await Muxer.open(url, { input, format: 'whip', options: { authorization: token } });
const streams = new Map<number, number>(
  input.streams.map((stream: { index: number }) => [stream.index, output.addStream(stream)]),
);
const startedAt = performance.now();
for await (const packet of input.packets()) {
  if (!packet) break;
  const { num, den } = input.streams[packet.streamIndex].timeBase;
  const early = (Number(packet.dts) * num * 1000) / den - (performance.now() - startedAt);
  if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
  await output.writePacket(packet, streams.get(packet.streamIndex));
}
// Sends DELETE.
await output.close();
await input.close();
