import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';

export interface FfmpegRtmpServer {
  readonly rtmpUrl: string;
  readonly port: number;
  /** What the one publisher sent, remuxed; complete after `ended()`. */
  readonly recording: string;
  readonly output: string;
  /** Resolves when the publisher is gone and the recording is complete. */
  ended(): Promise<void>;
  stop(): Promise<void>;
}

/** ffmpeg as an RTMP server that accepts one publisher, once. */
export async function startFfmpegRtmpServer(): Promise<FfmpegRtmpServer> {
  const folder = await mkdtemp(join(tmpdir(), 'ffmpeg-rtmp-'));
  const port = await freePort();
  const rtmpUrl = `rtmp://127.0.0.1:${port}/live`;
  const recording = join(folder, 'recording.flv');
  const server = new ServerProcess(
    'ffmpeg',
    [
      '-nostdin',
      '-hide_banner',
      '-loglevel',
      'verbose',
      '-listen',
      '1',
      '-i',
      `${rtmpUrl}/stream`,
      '-c',
      'copy',
      recording,
    ],
    port,
  );
  await server.start();
  return {
    rtmpUrl,
    port,
    recording,
    get output() {
      return server.output;
    },
    ended: () => server.ended(),
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
