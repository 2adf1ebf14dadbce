import { readdir } from 'node:fs/promises';
import { startFfmpegRtmpServer } from './ffmpeg-rtmp-server.ts';
import { startNginxRtmp } from './nginx-rtmp.ts';
import { startNodeMediaServer } from './node-media-server.ts';
import { findRecording, recordingOf } from './recording.ts';

/** Where one push is recorded. */
export interface RecordingPlace {
  readonly server: string;
  readonly rtmpUrl: string;
  /** The file, as soon as there is one. */
  recording(): Promise<string>;
  /** How often somebody has published there. */
  sessions(): Promise<number>;
  /** Resolves when the file is complete, after the publisher has left. */
  complete(): Promise<void>;
}

export interface RecordingServers {
  /** The places of a stream, one on each server. */
  placesOf(name: string): readonly RecordingPlace[];
  stop(): Promise<void>;
}

/**
 * nginx-rtmp, node-media-server, and ffmpeg for each stream, which accepts one publisher once.
 *
 * @param names of the streams at the servers
 */
export async function startRecordingServers(names: readonly string[]): Promise<RecordingServers> {
  const publishes: string[] = [];
  const [nginx, nms, ...single] = await Promise.all([
    startNginxRtmp({
      onPublish: (parameters) => {
        publishes.push(parameters.get('name') ?? '');
        return 200;
      },
    }),
    startNodeMediaServer(),
    ...names.map(() => startFfmpegRtmpServer()),
  ]);
  return {
    placesOf(name) {
      const ffmpeg = single[names.indexOf(name)]!;
      return [
        {
          server: 'nginx-rtmp',
          rtmpUrl: nginx.rtmpUrl,
          recording: async () => recordingOf(nginx, name),
          sessions: async () => publishes.filter((published) => published === name).length,
          complete: async () => {},
        },
        {
          server: 'node-media-server',
          rtmpUrl: nms.rtmpUrl,
          recording: () => findRecording(nms, `/${name}/`),
          // Each session has a file of its own.
          sessions: async () =>
            (await readdir(nms.recordDir, { recursive: true })).filter((file) => file.includes(`/${name}/`)).length,
          complete: async () => {},
        },
        {
          server: 'ffmpeg',
          rtmpUrl: ffmpeg.rtmpUrl,
          recording: async () => ffmpeg.recording,
          sessions: async () => 1,
          complete: () => ffmpeg.ended(),
        },
      ];
    },
    async stop() {
      await Promise.all([nginx.stop(), nms.stop(), ...single.map((server) => server.stop())]);
    },
  };
}
