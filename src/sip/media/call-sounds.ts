import { GatewayError } from '../../errors.ts';
import { g711ToOpus } from '../../ffmpeg/ffmpeg-audio-args.ts';
import { FfmpegProcess } from '../../ffmpeg/ffmpeg-process.ts';
import { oggPackets } from '../../media/containers/ogg-reader.ts';
import type { Logger } from '../../observe/logger.ts';
import { SoundLibrary } from '../../outputs/push/sound-library.ts';
import type { AudioCodec } from '../../streams/live-stream.ts';

/** 20 ms of G.711. */
const FRAME_BYTES = 160;
/** Five minutes: a sound file of a call is an announcement or music on hold. */
const MAX_FRAMES = 5 * 60 * 50;
const ENCODE_MS = 30_000;
/** The body of an FLV tag begins with the format. */
const TAG_HEADER_BYTES = 1;

/** Sound files of `media_dir` for callers, in the codecs of calls. */
export class CallSounds {
  readonly #libraries: Readonly<Record<'pcmu' | 'pcma', SoundLibrary>>;
  readonly #logger: Logger;

  constructor(directory: string, logger: Logger) {
    const library = (codec: 'pcmu' | 'pcma'): SoundLibrary =>
      new SoundLibrary(directory, { codec, bitrate: 0 }, logger);
    this.#libraries = { pcmu: library('pcmu'), pcma: library('pcma') };
    this.#logger = logger;
  }

  /** Frames of 20 ms. @throws {GatewayError} as {@link SoundLibrary.load} */
  async load(fileName: string, codec: AudioCodec): Promise<readonly Buffer[]> {
    const law = codec === 'pcma' ? 'pcma' : 'pcmu';
    const { frames } = await this.#libraries[law].load(fileName);
    const bytes = Buffer.concat(frames.map((frame) => frame.subarray(TAG_HEADER_BYTES)));
    if (bytes.length > MAX_FRAMES * FRAME_BYTES)
      throw new GatewayError('SOUND_FILE_INVALID', 'fileName is longer than five minutes. Use a shorter one.');
    if (codec === 'opus') return this.#encode(bytes);
    return Array.from({ length: Math.floor(bytes.length / FRAME_BYTES) }, (_, index) =>
      bytes.subarray(index * FRAME_BYTES, (index + 1) * FRAME_BYTES),
    );
  }

  async #encode(bytes: Buffer): Promise<Buffer[]> {
    const process = await FfmpegProcess.start(g711ToOpus('pcmu'), 'sound encoder', this.#logger);
    const chunks: Buffer[] = [];
    process.on('output', (chunk) => chunks.push(chunk));
    process.write(bytes);
    await process.finish(AbortSignal.timeout(ENCODE_MS));
    return oggPackets(Buffer.concat(chunks));
  }
}
