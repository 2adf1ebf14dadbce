import type { RtmpAudioCodec } from '../ffmpeg/ffmpeg-audio-args.ts';
import { audioFrame } from '../media/containers/audio-tag.ts';

/** Milliseconds of a frame: that of Speex, to which G.711 is cut too, so that frames are interchangeable. */
export const PLAIN_FRAME_MS = 20;
/** Bytes of 20 ms of G.711. */
const G711_FRAME_BYTES = 160;

/** Cuts ffmpeg's G.711 or Speex in FLV into tag bodies of 20 ms. */
export class PlainAudioFrames {
  readonly #codec: Exclude<RtmpAudioCodec, 'aac'>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(codec: Exclude<RtmpAudioCodec, 'aac'>) {
    this.#codec = codec;
  }

  /** @param body of an audio tag as ffmpeg wrote it: a format byte, then the audio */
  push(body: Buffer): Buffer[] {
    const audio = body.subarray(1);
    if (this.#codec === 'speex') return [audioFrame('speex', audio)];
    const bytes = Buffer.concat([this.#rest, audio]);
    const frames: Buffer[] = [];
    let start = 0;
    for (; start + G711_FRAME_BYTES <= bytes.length; start += G711_FRAME_BYTES)
      frames.push(audioFrame(this.#codec, bytes.subarray(start, start + G711_FRAME_BYTES)));
    this.#rest = Buffer.from(bytes.subarray(start));
    return frames;
  }
}
