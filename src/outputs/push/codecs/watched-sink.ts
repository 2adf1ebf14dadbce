import { fourccOf } from '../../../media/containers/enhanced-tag.ts';
import { TAG_VIDEO, type FlvTag } from '../../../media/containers/flv-tag.ts';
import type { TagGroup } from '../../../media/containers/tag-group.ts';
import type { TagSink } from '../../output.ts';

/** A sink that notices when its media begins, and keeps the video codec that it begins with. */
export class WatchedSink implements TagSink {
  readonly #sink: TagSink;
  readonly #onCodecChanged: () => void;
  #beganMs: number | undefined;
  #codec: string | undefined;
  #over = false;

  /** @param onCodecChanged video of another codec follows, which is not passed on; called once */
  constructor(sink: TagSink, onCodecChanged: () => void) {
    this.#sink = sink;
    this.#onCodecChanged = onCodecChanged;
  }

  get writable(): boolean {
    return this.#sink.writable;
  }

  /** Milliseconds since the first tag; `undefined` before it. */
  get forMs(): number | undefined {
    return this.#beganMs === undefined ? undefined : performance.now() - this.#beganMs;
  }

  write(group: TagGroup): void {
    if (this.#over) return;
    for (const tag of group.tags) {
      if (tag.type !== TAG_VIDEO || !tag.sequenceHeader) continue;
      const codec = codecOf(tag);
      this.#codec ??= codec;
      if (codec === this.#codec) continue;
      this.#over = true;
      return this.#onCodecChanged();
    }
    this.#beganMs ??= performance.now();
    this.#sink.write(group);
  }
}

const codecOf = (header: FlvTag): string => fourccOf(header) ?? String(header.data[0]! & 0x0f);
