import { OGG_PAGE_SEGMENTS, oggSegments, OggOpusWriter } from '../media/containers/ogg-opus.ts';
import { KeptBytes } from '../runtime/kept-bytes.ts';
import type { AudioCodec } from '../streams/live-stream.ts';

/** Packets of one audio track, batched for an ffmpeg: Opus as Ogg pages, G.711 as raw bytes. */
export class PacketBatch {
  readonly #codec: AudioCodec;
  readonly #channels: 1 | 2;
  readonly #batchSamples: number;
  readonly #write: (bytes: Buffer) => void;
  #ogg = new OggOpusWriter();
  #samples = 0;
  /** Packets that have not been written, their duration, and the size of their Ogg page. */
  readonly #packets = new KeptBytes();
  #waitingSamples = 0;
  #segments = 0;

  /** @param batchSamples samples at 48 kHz that are collected before they are written */
  constructor(codec: AudioCodec, channels: 1 | 2, batchSamples: number, write: (bytes: Buffer) => void) {
    this.#codec = codec;
    this.#channels = channels;
    this.#batchSamples = batchSamples;
    this.#write = write;
  }

  /** Samples at 48 kHz that were added since the start of the running ffmpeg. */
  get samples(): number {
    return this.#samples;
  }

  /** A new ffmpeg reads: drops what waits, and writes the container's header. */
  begin(): void {
    this.#ogg = new OggOpusWriter();
    this.#samples = 0;
    this.#clear();
    if (this.#codec === 'opus') this.#write(this.#ogg.header(this.#channels));
  }

  add(packet: Buffer, samples: number): void {
    const segments = oggSegments(packet);
    if (this.#segments + segments > OGG_PAGE_SEGMENTS) this.#flush();
    this.#segments += segments;
    this.#packets.push(packet);
    this.#samples += samples;
    this.#waitingSamples += samples;
    if (this.#waitingSamples >= this.#batchSamples) this.#flush();
  }

  /** In one write: the data is small, and several writes cost more system calls. */
  #flush(): void {
    const packets = this.#packets.views();
    if (packets.length > 0)
      this.#write(this.#codec === 'opus' ? this.#ogg.page(packets, this.#samples) : Buffer.concat(packets));
    this.#clear();
  }

  #clear(): void {
    this.#packets.clear();
    this.#waitingSamples = 0;
    this.#segments = 0;
  }
}
