import type { EventEmitter } from 'node:events';
import { GatewayError } from '../../errors.ts';
import type { RenditionAudioCodec } from '../../renditions/encode-profile.ts';
import type { SoundClip, SoundLibrary } from './sound-library.ts';

/**
 * Loads a sound file for a stream or a push. When that ends, or the client that asked for it has gone away, the file is
 * not encoded any further.
 *
 * @param user emits the event `end` when it ends; unset: it does not end
 */
export async function loadSound(
  sounds: SoundLibrary,
  name: string,
  codec: RenditionAudioCodec,
  user: EventEmitter | undefined,
  end: string,
  client?: AbortSignal,
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
