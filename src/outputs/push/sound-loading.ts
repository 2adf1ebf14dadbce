import type { EventEmitter } from 'node:events';
import { GatewayError } from '../../errors.ts';
import type { RenditionAudioCodec } from '../../renditions/encode-profile.ts';
import type { PushSound } from './codecs/push-media.ts';
import type { SoundClip, SoundLibrary } from './sound-library.ts';

/** What waits for a sound file. */
export interface SoundUser {
  /** Emits the event `end` when it ends; unset: it does not end. */
  readonly user: EventEmitter | undefined;
  readonly end: string;
  readonly client: AbortSignal | undefined;
}

/** Loads a sound file in the codecs that a push has audio in; it can be had in others later. */
export async function loadPushSound(
  sounds: SoundLibrary,
  { soundFile, loop = false }: { readonly soundFile: string; readonly loop?: boolean | undefined },
  codecs: readonly RenditionAudioCodec[],
  waits: SoundUser,
): Promise<PushSound> {
  const clips = await Promise.all(
    codecs.map(async (codec) => [codec, await loadSound(sounds, soundFile, codec, waits)] as const),
  );
  return { loop, clips: new Map(clips), load: (codec) => sounds.load(soundFile, undefined, codec) };
}

/**
 * Loads a sound file for a stream or a push. When that ends, or the client that asked for it has gone away, the file is
 * not encoded any further.
 */
async function loadSound(
  sounds: SoundLibrary,
  name: string,
  codec: RenditionAudioCodec,
  { user, end, client }: SoundUser,
): Promise<SoundClip> {
  const abort = new AbortController();
  const giveUp = (): void =>
    abort.abort(new GatewayError('TRANSPONDER_NOT_FOUND', 'The push has ended while its sound file was read.'));
  const onClientGone = (): void =>
    abort.abort(new GatewayError('REQUEST_TIMEOUT', 'The client went away while the sound file was read.'));
  user?.once(end, giveUp);
  client?.addEventListener('abort', onClientGone);
  if (client?.aborted) onClientGone();
  try {
    return await sounds.load(name, abort.signal, codec);
  } finally {
    user?.off(end, giveUp);
    client?.removeEventListener('abort', onClientGone);
  }
}
