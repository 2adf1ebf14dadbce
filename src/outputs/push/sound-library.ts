import { constants } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { encodeClip, UndecodableError, type ClipFormat } from '../../renditions/clip-encoder.ts';
import type { RenditionAudioCodec } from '../../renditions/encode-profile.ts';
import { GatewayError } from '../../errors.ts';
import { NO_DESCRIPTORS } from '../../runtime/file-descriptors.ts';
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
/** The format is in the first bytes, after a chunk or two of descriptions at most. */
const HEAD_BYTES = 4096;
/**
 * Opening a named pipe would block a thread until a process opens it for writing. The path has no links any more: one
 * that appears meanwhile is not followed.
 */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

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
    const path = await this.#locate(name);
    const { key: file, channels } = await this.#inspect(path, name);
    signal?.throwIfAborted();
    const key = `${file}\0${codec}`;
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

  async #locate(name: string): Promise<string> {
    try {
      const directory = await realpath(this.#directory);
      // Checked after links are resolved: a link in the directory must not lead out of it.
      const path = await realpath(resolve(directory, name));
      if (path.startsWith(directory + sep)) return path;
    } catch {
      // Missing, with a NUL, or too long: not found in each case.
    }
    throw notFound(name);
  }

  async #inspect(path: string, name: string): Promise<{ key: string; channels: number }> {
    const file = await open(path, OPEN_FLAGS).catch((error: NodeJS.ErrnoException) => {
      throw openError(error, name);
    });
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw notFound(name);
      const { size, mtimeMs } = stats;
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      const channels = wavChannels(buffer.subarray(0, bytesRead));
      if (channels === undefined)
        throw new GatewayError(
          'SOUND_FILE_INVALID',
          `soundFile ${JSON.stringify(name)} is not a RIFF WAV file. Convert it, for instance with: ffmpeg -i INPUT OUTPUT.wav`,
        );
      if (size > MAX_FILE_BYTES)
        throw new GatewayError(
          'SOUND_FILE_INVALID',
          `soundFile ${JSON.stringify(name)} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MB. Use a shorter one.`,
        );
      return { key: `${path}\0${size}\0${mtimeMs}`, channels };
    } finally {
      await file.close();
    }
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
      throw new GatewayError(
        'SOUND_FILE_INVALID',
        `soundFile ${JSON.stringify(name)} cannot be decoded: ${error.message.replaceAll(source.file, name)}. Use a WAV file with PCM.`,
        { cause: error },
      );
    });
    if (frames.length === 0)
      throw new GatewayError('SOUND_FILE_INVALID', `soundFile ${JSON.stringify(name)} contains no audio.`);
    return { frames };
  }
}

const notFound = (name: string): GatewayError =>
  new GatewayError(
    'SOUND_FILE_NOT_FOUND',
    `No such file: ${JSON.stringify(name.slice(0, 100))}. soundFile names a RIFF WAV file in the media directory (media_dir).`,
  );

function openError({ code }: NodeJS.ErrnoException, name: string): GatewayError {
  if (code === 'EMFILE' || code === 'ENFILE')
    return new GatewayError('LIMIT_REACHED', `soundFile ${JSON.stringify(name)} was not opened: ${NO_DESCRIPTORS}.`);
  if (code === 'EACCES')
    return new GatewayError(
      'SOUND_FILE_INVALID',
      `soundFile ${JSON.stringify(name)} cannot be read by the user that the gateway runs as. Change its permissions (chmod a+r).`,
    );
  return notFound(name);
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
