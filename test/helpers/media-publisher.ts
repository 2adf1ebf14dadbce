import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ffmpeg } from './ffmpeg-tool.ts';
import { opusFile } from './opus.ts';

export interface MediaPublisherOptions {
  readonly httpUrl: string;
  readonly stream: string;
  /** An FLV file with H.264. */
  readonly video?: string;
  /** An Ogg file of `opus.ts`. */
  readonly audio?: string;
  /** Of the video. */
  readonly fps: number;
  /** The parameter sets of the video are sent with its first frame only. */
  readonly setsOnce?: boolean;
  /** The marker is set on each NAL unit. */
  readonly marksAll?: boolean;
  /** Packets name their section of the offer (MID, RFC 9143). */
  readonly mid?: boolean;
  /** The offer names no SSRC. */
  readonly unnamed?: boolean;
  /** Payload type of the video packets. Default: that of the offer. */
  readonly videoType?: number;
  /** Bearer token of the request. */
  readonly token?: string;
}

/** A WHIP publisher of real media in a process of its own, which can be killed. */
export class MediaPublisher {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #changes = { audio: 0, video: 0 };

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
  }

  /** Resolves when it sends. */
  static async start(options: MediaPublisherOptions): Promise<MediaPublisher> {
    const main = fileURLToPath(import.meta.resolve('./media-publisher-main.ts'));
    const child = fork(main, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const publisher = new MediaPublisher(child);
    let log = '';
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
    await Promise.race([
      once(child, 'message'),
      publisher.#exited.then(() => {
        throw new Error(`the publisher ended: ${log.slice(-2000)}`);
      }),
    ]);
    return publisher;
  }

  /** Stops or continues to send a track; the connection stays. */
  sends(tracks: { readonly video?: boolean; readonly audio?: boolean }): void {
    this.#child.send(tracks);
  }

  /** Goes on with other SSRCs, sequence numbers and times, which the offer does not name. */
  changesSource(kinds: readonly ('audio' | 'video')[] = ['audio', 'video']): void {
    for (const kind of kinds) this.#child.send({ [`${kind}Offset`]: ++this.#changes[kind] * 1000 });
  }

  /** SIGKILL: the gateway hears nothing of it. Idempotent. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

export interface MediaOptions {
  /** Of the video, which is repeated. Default: 2. */
  readonly seconds?: number;
  /** ffmpeg's filters for the frames, such as `noise`. */
  readonly filter?: string;
  /** ffmpeg's options for the video; the last of a kind counts. */
  readonly encoding?: readonly string[];
}

/**
 * Media for publishers: a bright frame whose brightness changes with each frame, a key frame every half second, and a tone.
 *
 * @param size for example `640x360`
 */
export async function createMedia(
  size: string,
  fps = 30,
  { seconds = 2, filter = 'null', encoding = [] }: MediaOptions = {},
): Promise<{ video: string; audio: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'media-'));
  const video = join(folder, 'video.flv');
  const audio = join(folder, 'audio.ogg');
  // Computed at a small size, which is much faster.
  const brightness = `color=white:s=16x16:r=${fps}:d=${seconds},geq=lum='180+mod(N*12\\,60)':cb=128:cr=128`;
  await Promise.all([
    ffmpeg([
      ...['-f', 'lavfi', '-i', `${brightness},scale=${size.replace('x', ':')}:flags=neighbor,${filter}`],
      ...['-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'ultrafast', '-tune', 'zerolatency'],
      ...['-pix_fmt', 'yuv420p', '-g', String(fps / 2), '-sc_threshold', '0', ...encoding, '-f', 'flv', video],
    ]),
    writeFile(audio, opusFile('sine=440:r=48000', 2)),
  ]);
  return { video, audio, remove: () => rm(folder, { recursive: true }) };
}
