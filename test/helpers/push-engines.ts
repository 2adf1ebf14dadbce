import type { GatewayError } from '../../src/errors.ts';
import type { FlvTag } from '../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { createFfmpegPusher } from '../../src/outputs/push/ffmpeg-pusher.ts';
import type { Pusher, PusherFactory } from '../../src/outputs/push/pusher.ts';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import type { TlsTrust } from '../../src/net/tls-trust.ts';
import { ffmpegMustNotPush } from './ffmpeg-pushes.ts';
import { playTags } from './flv-source.ts';
import { death } from './push-target.ts';

export interface PushEngine {
  /** The value of `push_engine`. */
  readonly name: 'rtmp' | 'ffmpeg';
  createFactory(trust?: TlsTrust): PusherFactory;
}

/** Both engines, so that one test covers each; only one if ffmpeg cannot push. */
export const pushEngines: readonly PushEngine[] = [
  { name: 'rtmp', createFactory: (trust) => createRtmpPusher(trust) },
  ...(ffmpegMustNotPush
    ? []
    : [
        {
          name: 'ffmpeg',
          createFactory: (trust) => createFfmpegPusher({ ...trust, logger: silentLogger }),
        } satisfies PushEngine,
      ]),
];

/**
 * Plays tags into a new pusher after `ready`; resolves when the server has accepted some. One engine connects before `ready`, the
 * other when it has read the beginning of the stream.
 *
 * @throws {GatewayError} the reason if the pusher died; it is closed then
 */
export async function pushing(pusher: Pusher, tags: readonly FlvTag[]): Promise<{ stop(): void }> {
  const taken = new Promise<void>((resolve) => pusher.once('progress', () => resolve()));
  const died = death(pusher);
  const start = new Promise<{ stop(): void }>((resolve) => pusher.once('ready', () => resolve(playTags(pusher, tags))));
  const error = await Promise.race([taken, died]);
  if (!error) return start;
  await pusher.close();
  throw error;
}

/** Why a new pusher died, or `undefined` if the server accepted media. The pusher is closed in both cases. */
export async function refusal(pusher: Pusher, tags: readonly FlvTag[]): Promise<GatewayError | undefined> {
  try {
    const player = await pushing(pusher, tags);
    player.stop();
    await pusher.close();
    return undefined;
  } catch (error) {
    return error as GatewayError;
  }
}
