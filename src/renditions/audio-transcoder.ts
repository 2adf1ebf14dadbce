import { toGatewayError, type GatewayError } from '../errors.ts';
import { aacToFlvAudio, type RtmpAudioCodec } from '../ffmpeg/ffmpeg-args.ts';
import { SupervisedFfmpeg } from '../ffmpeg/supervised-ffmpeg.ts';
import { adtsHeader } from '../media/codecs/aac.ts';
import { FLV_AUDIO_CODEC_IDS } from '../media/containers/audio-tag.ts';
import { FlvReader } from '../media/containers/flv-reader.ts';
import { TAG_AUDIO, type FlvTag, type StreamMetadata } from '../media/containers/flv-tag.ts';
import type { TagGroup } from '../media/containers/tag-group.ts';
import type { Logger } from '../observe/logger.ts';
import { tickMs } from '../runtime/tick.ts';
import { AAC_CHANNELS, AAC_SAMPLE_RATE } from './aac-coder.ts';
import { PLAIN_FRAME_MS, PlainAudioFrames } from './plain-audio-frames.ts';
import { LiveRendition } from './live-rendition.ts';
import { OutputWatch } from './output-watch.ts';
import type { Rendition } from './rendition.ts';

/** Bytes before the raw frame in an AAC tag's body. */
const AAC_BODY_HEADER = 2;
/** How far what comes out may be behind what went in: the decoder, the resampler and the encoder hold so much. Milliseconds. */
const MAX_LAG_MS = 150;
/** A lag that no correction of the clock explains: a jump. */
const JUMP_MS = 1000;

/** A rendition whose audio is G.711 or Speex instead of AAC; its frames pass. */
export class AudioTranscoder extends LiveRendition implements Rendition {
  readonly #base: Rendition;
  readonly #codec: Exclude<RtmpAudioCodec, 'aac'>;
  readonly #ffmpeg: SupervisedFfmpeg;
  readonly #onTags = (group: TagGroup): void => this.#takeTags(group);
  readonly #onFailed = (error: GatewayError): void => void this.emit('failed', error);
  readonly #watch = new OutputWatch();
  #reader = new FlvReader();
  #frames: PlainAudioFrames;
  /** Stream time of the next frame that comes out, and of the latest one that went in. */
  #next: number | undefined;
  #latest = 0;

  /** These codecs need no configuration. */
  readonly audioHeader = undefined;

  constructor(base: Rendition, codec: Exclude<RtmpAudioCodec, 'aac'>, logger: Logger) {
    super();
    this.#base = base;
    this.#codec = codec;
    this.#frames = new PlainAudioFrames(codec);
    this.#ffmpeg = new SupervisedFfmpeg(aacToFlvAudio(codec), 'audio transcoder', logger);
    this.#ffmpeg.on('started', () => {
      this.#reader = new FlvReader();
      this.#frames = new PlainAudioFrames(codec);
      this.#next = undefined;
      this.#watch.begin();
    });
    this.#ffmpeg.on('output', (chunk) => this.#takeOutput(chunk));
    this.#ffmpeg.on('failed', this.#onFailed);
    base.on('tags', this.#onTags);
    base.on('failed', this.#onFailed);
    void this.#ffmpeg.start();
  }

  get metadata(): StreamMetadata {
    const { audioBitrate: _, ...metadata } = this.#base.metadata;
    return {
      ...metadata,
      audioCodecId: FLV_AUDIO_CODEC_IDS[this.#codec],
      audioSampleRate: this.#codec === 'speex' ? 16_000 : 8000,
      audioChannels: 1,
    };
  }

  get videoHeader(): FlvTag | undefined {
    return this.#base.videoHeader;
  }

  get hasVideo(): boolean {
    return this.#base.hasVideo;
  }

  requestKeyFrame(): void {
    this.#base.requestKeyFrame();
  }

  async close(): Promise<void> {
    this.#base.off('tags', this.#onTags);
    this.#base.off('failed', this.#onFailed);
    await this.#ffmpeg.close();
  }

  #takeTags({ tags }: TagGroup): void {
    for (const tag of tags) if (tag.type === TAG_AUDIO) this.#takeSound(tag);
    const others = tags.filter((tag) => tag.type !== TAG_AUDIO);
    if (others.length > 0) this.send(others);
  }

  #takeSound(tag: FlvTag): void {
    if (tag.sequenceHeader || !this.#ffmpeg.running) return;
    this.#next ??= tag.timestamp;
    this.#latest = tag.timestamp;
    const raw = tag.data.subarray(AAC_BODY_HEADER);
    this.#ffmpeg.write(adtsHeader(raw.length, AAC_SAMPLE_RATE, AAC_CHANNELS), raw);
    if (this.#watch.fed(tag.timestamp, tickMs()))
      void this.#ffmpeg.restart('it hangs: nothing came out of it any more');
  }

  #takeOutput(chunk: Buffer): void {
    try {
      const sounds = this.#reader.push(chunk).filter((tag) => tag.type === TAG_AUDIO);
      const tags = sounds.flatMap((tag) => this.#frames.push(tag.data)).map((data) => this.#onTime(data));
      if (tags.length === 0) return;
      this.#watch.came();
      this.send(tags);
    } catch (error) {
      void this.#ffmpeg.restart(toGatewayError(error).message);
    }
  }

  #onTime(data: Buffer): FlvTag {
    const next = this.#next ?? this.#latest;
    this.#next = next + PLAIN_FRAME_MS;
    // Time is counted in samples; where the source's clock is corrected, the count follows by a millisecond a frame.
    const lag = this.#latest - this.#next;
    if (lag > JUMP_MS) this.#next = this.#latest;
    else if (lag > MAX_LAG_MS) this.#next += 1;
    else if (lag < 0) this.#next -= 1;
    return { type: TAG_AUDIO, timestamp: Math.round(next), data, keyFrame: false, sequenceHeader: false };
  }
}
