import { setTimeout as sleep } from 'node:timers/promises';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_SCRIPT } from '../../src/media/containers/flv-tag.ts';
import type { FlvTag } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import type { Pusher } from '../../src/outputs/push/pusher.ts';
import { ffmpeg } from './ffmpeg-tool.ts';

export interface FlvSourceOptions {
  /** Default: 2. */
  readonly seconds?: number;
  /** Default: 320x240. */
  readonly size?: string;
  /** ffmpeg's notation; default: 500k. */
  readonly videoBitrate?: string;
  /** Of x264; default: ultrafast. */
  readonly preset?: string;
  /** More parameters of x264, as "key=value:key=value". */
  readonly x264?: string;
  /** Frames are encoded in another order than they are shown. */
  readonly bFrames?: boolean;
}

/** Tags of a test pattern and a tone from ffmpeg: H.264 at 30 fps with a key frame every second, and AAC. */
export async function createFlvTags(options: FlvSourceOptions = {}): Promise<FlvTag[]> {
  const { seconds = 2, size = '320x240', videoBitrate = '500k', preset = 'ultrafast', x264, bFrames } = options;
  const file = await ffmpeg([
    ...[
      '-f',
      'lavfi',
      '-i',
      `testsrc2=size=${size}:rate=30:duration=${seconds}`,
      '-f',
      'lavfi',
      '-i',
      `sine=frequency=440:sample_rate=48000:duration=${seconds}`,
    ],
    ...[
      '-c:v',
      'libx264',
      '-preset',
      preset,
      ...(bFrames ? ['-bf', '3'] : ['-tune', 'zerolatency']),
      '-pix_fmt',
      'yuv420p',
      '-g',
      '30',
      '-b:v',
      videoBitrate,
      '-minrate',
      videoBitrate,
    ],
    ...[
      '-maxrate',
      videoBitrate,
      '-bufsize',
      videoBitrate,
      '-x264-params',
      ['nal-hrd=cbr', ...(bFrames ? ['b-pyramid=normal', 'b-adapt=0'] : []), ...(x264 ? [x264] : [])].join(':'),
      '-c:a',
      'aac',
      '-b:a',
      '128k',
      '-flvflags',
      'no_duration_filesize',
      '-f',
      'flv',
      '-',
    ],
  ]);
  // ffmpeg writes the end of the sequence as an empty frame, which a live stream does not have.
  return new FlvReader().push(file).filter((tag) => tag.data.length > 5 || tag.type === TAG_SCRIPT);
}

/** Writes tags as fast as the pusher accepts them, or at `speed` times real time. Rejects if the pusher dies. */
export async function writeTags(pusher: Pusher, tags: readonly FlvTag[], speed = Infinity): Promise<void> {
  const died = new Promise<never>((_resolve, reject) => pusher.once('died', reject));
  died.catch(() => {});
  const start = performance.now();
  for (const tag of tags) {
    const early = tag.timestamp / speed - (performance.now() - start);
    if (early > 0) await Promise.race([sleep(early), died]);
    if (!pusher.writable) await Promise.race([new Promise<void>((resolve) => pusher.once('drain', resolve)), died]);
    pusher.write(new TagGroup([tag]));
  }
}

/** Writes the tags in a loop in real time until it is stopped or the pusher dies. */
export function playTags(pusher: Pusher, tags: readonly FlvTag[]): { stop(): void } {
  const start = performance.now();
  const media = tags.filter((tag) => tag.type !== TAG_SCRIPT && !tag.sequenceHeader);
  const length = (media.at(-1)?.timestamp ?? 0) + 33;
  for (const tag of tags) if (!media.includes(tag)) pusher.write(new TagGroup([tag]));
  let next = 0;
  const timer = setInterval(() => {
    for (const now = performance.now() - start; ; next++) {
      const tag = media[next % media.length]!;
      const timestamp = tag.timestamp + Math.floor(next / media.length) * length;
      if (timestamp > now) return;
      if (pusher.writable) pusher.write(new TagGroup([{ ...tag, timestamp }]));
    }
  }, 10);
  const stop = (): void => clearInterval(timer);
  pusher.once('died', stop);
  return { stop };
}
