import { KeptBytes } from '../runtime/kept-bytes.ts';

export interface GroupFrame {
  /** Milliseconds on the stream's clock. */
  readonly timestamp: number;
  readonly keyFrame: boolean;
  /** H.264: the body of its video tag; other codecs: the frame as IVF contains it. */
  readonly data: Buffer;
}

/** 15 s of 2 Mbit/s. Of a longer group nothing is kept. */
const MAX_BYTES = 4 * 1024 * 1024;
const NO_BODY = Buffer.alloc(0);

/**
 * The frames since the last key frame, for a decoder that starts now: the next key frame may be many seconds away, where
 * a publisher does not heed requests.
 */
export class GroupOfFrames {
  readonly #bodies = new KeptBytes();
  readonly #maxBytes: number;
  /** Without their bodies. */
  #frames: GroupFrame[] = [];
  #bytes = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  add({ timestamp, keyFrame, data }: GroupFrame): void {
    if (keyFrame) this.clear();
    else if (this.#frames.length === 0) return;
    this.#bytes += data.length;
    if (this.#bytes > this.#maxBytes) return this.clear();
    this.#bodies.push(data);
    this.#frames.push({ timestamp, keyFrame, data: NO_BODY });
  }

  /** In decoding order, beginning with a key frame; none if it is not known. In memory of their own. */
  frames(): GroupFrame[] {
    if (this.#frames.length === 0) return [];
    const bodies = this.#bodies.copies();
    return this.#frames.map((frame, index) => ({ ...frame, data: bodies[index]! }));
  }

  /** What follows does not refer to what was added. */
  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
    this.#bodies.clear();
  }
}
