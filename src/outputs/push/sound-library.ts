import { resolve } from 'node:path';
import { encodeClip, UndecodableError, type ClipFormat } from '../../renditions/clip-encoder.ts';
import type { RenditionAudioCodec } from '../../renditions/encode-profile.ts';
import { invalidMediaFile, useMediaFile, type MediaFilePurpose } from '../../renditions/media-file.ts';
import type { Logger } from '../../observe/logger.ts';

/** A sound file as the bodies of FLV audio tags; never empty. */
export interface SoundClip {
  readonly frames: readonly Buffer[];
}

/** A clip that is encoded or being encoded. */
interface Entry {
  readonly clip: Promise<SoundClip>;
  readonly abort: AbortController;
  /** Number of callers that have not given up. */
  waiting: number;
}

/** Ten minutes of CD audio. A clip is kept in memory in encoded form, a tenth of that. */
const MAX_FILE_BYTES = 100 * 1024 * 1024;
const MAX_CLIPS = 32;
const SOUND: MediaFilePurpose = {
  title: 'soundFile',
  hint: 'soundFile names a RIFF WAV file in the media directory (media_dir).',
  notFound: 'SOUND_FILE_NOT_FOUND',
  invalid: 'SOUND_FILE_INVALID',
};

/** The WAV files of the media directory, each encoded once in each codec. */
export class SoundLibrary {
  readonly #directory: string;
  readonly #format: ClipFormat;
  readonly #logger: Logger;
  /** By path, size, modification time and codec, the least recently used first. */
  readonly #clips = new Map<string, Entry>();

  /** @param format the format that most destinations get */
  constructor(directory: string, format: ClipFormat, logger: Logger) {
    this.#directory = resolve(directory);
    this.#format = format;
    this.#logger = logger;
  }

  /**
   * Loads a file of the media directory.
   *
   * @param signal the caller gives up. When nobody else waits for the clip, its encoder is stopped, and the reason of
   * the signal is thrown
   * @param codec of destinations that get another one
   * @throws {GatewayError} SOUND_FILE_NOT_FOUND, also for what is outside the directory or not a regular file;
   * SOUND_FILE_INVALID for what is not a RIFF WAV file; ENCODER_FAILED if ffmpeg cannot be started; LIMIT_REACHED if
   * there are no file descriptors left
   */
  async load(name: string, signal?: AbortSignal, codec = this.#format.codec): Promise<SoundClip> {
    const { version, path, channels } = await useMediaFile(this.#directory, name, SOUND, MAX_FILE_BYTES, (file) => {
      const channels = wavChannels(file.head);
      if (channels === undefined)
        throw invalidMediaFile(
          SOUND,
          name,
          'is not a RIFF WAV file. Convert it, for instance with: ffmpeg -i INPUT OUTPUT.wav',
        );
      return { version: file.version, path: file.path, channels };
    });
    signal?.throwIfAborted();
    const key = `${version}\0${codec}`;
    const entry = this.#clips.get(key) ?? this.#start(key, path, channels, name, codec);
    // The one used last is at the end.
    this.#clips.delete(key);
    this.#clips.set(key, entry);
    if (this.#clips.size > MAX_CLIPS) this.#clips.delete(this.#clips.keys().next().value!);
    entry.waiting++;
    const giveUp = (): void => {
      if (--entry.waiting > 0) return;
      this.#forget(key, entry);
      entry.abort.abort(signal!.reason);
    };
    signal?.addEventListener('abort', giveUp);
    try {
      return await entry.clip;
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  #start(key: string, path: string, channels: number, name: string, codec: RenditionAudioCodec): Entry {
    const abort = new AbortController();
    const entry: Entry = { clip: this.#encode({ file: path, channels }, codec, name, abort.signal), abort, waiting: 0 };
    entry.clip.catch(() => this.#forget(key, entry));
    return entry;
  }

  /** Another one may have taken its place. */
  #forget(key: string, entry: Entry): void {
    if (this.#clips.get(key) === entry) this.#clips.delete(key);
  }

  async #encode(
    source: { readonly file: string; readonly channels: number },
    codec: RenditionAudioCodec,
    name: string,
    signal: AbortSignal,
  ): Promise<SoundClip> {
    const format = { ...this.#format, codec };
    const frames = await encodeClip(source, format, this.#logger, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (!(error instanceof UndecodableError)) throw error;
      const problem = `cannot be decoded: ${error.message.replaceAll(source.file, name)}. Use a WAV file with PCM`;
      throw invalidMediaFile(SOUND, name, problem, error);
    });
    if (frames.length === 0) throw invalidMediaFile(SOUND, name, 'contains no audio');
    return { frames };
  }
}

/** The number of channels of a RIFF WAV file, from its first bytes; `undefined` for anything else. */
export function wavChannels(head: Buffer): number | undefined {
  if (head.length < 12 || head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE')
    return undefined;
  for (let at = 12; at + 12 <= head.length;) {
    if (head.toString('latin1', at, at + 4) === 'fmt ') return head.readUInt16LE(at + 10);
    const size = head.readUInt32LE(at + 4);
    at += 8 + size + (size & 1);
  }
  return undefined;
}
