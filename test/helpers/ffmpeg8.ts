import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort, ServerProcess } from './server-process.ts';

/** FFmpeg 8, which the package `node-av` contains as a library. 200 MB, for few tests: not among the dependencies. */
export const noFfmpeg8 = existsSync(fileURLToPath(new URL('../../node_modules/node-av', import.meta.url)))
  ? false
  : 'FFmpeg 8 is not installed: npm install --no-save --ignore-scripts node-av@6.1.1';

/** What it has received and decoded of one stream. */
export interface DecodedStream {
  readonly codec: string;
  readonly packets: number;
  readonly frames: number;
  /** Of audio. */
  readonly samples: number;
  /** Packets that it could not decode. */
  readonly errors: number;
  readonly width: number;
  readonly height: number;
  readonly sampleRate: number;
}

/** FFmpeg 8 as an RTMP server for one publisher. */
export async function startFfmpeg8Server() {
  const port = await freePort();
  const rtmpUrl = `rtmp://127.0.0.1:${port}/live`;
  const main = fileURLToPath(import.meta.resolve('./ffmpeg-server-main.ts'));
  const server = new ServerProcess(process.execPath, [main, `${rtmpUrl}/stream`], port);
  await server.start();
  return {
    rtmpUrl,
    /** Packets of video so far. */
    videoPackets: () => server.output.match(/^\.+/m)?.[0].length ?? 0,
    /** Resolves when the publisher is gone. */
    async decoded(): Promise<DecodedStream[]> {
      await server.ended();
      const lines = server.output.split('\n').filter((line) => line.startsWith('{'));
      return lines.map((line) => JSON.parse(line) as DecodedStream);
    },
    stop: () => server.stop(),
  };
}
