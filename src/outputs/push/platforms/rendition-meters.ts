import type { TagGroup } from '../../../media/containers/tag-group.ts';
import { StreamMeter } from '../../../media/stream-meter.ts';
import type { Rendition } from '../../../renditions/rendition.ts';

interface Metered {
  readonly meter: StreamMeter;
  readonly stop: () => void;
  users: number;
}

/** A meter that is in use. */
export interface MeterLease {
  readonly meter: StreamMeter;
  /** Idempotent. */
  release(): void;
}

/** The measurements of renditions: one for each, however many outputs need it. */
export class RenditionMeters {
  readonly #metered = new Map<Rendition, Metered>();

  /** The measurement of a rendition that is measured already. */
  find(rendition: Rendition): StreamMeter | undefined {
    return this.#metered.get(rendition)?.meter;
  }

  lease(rendition: Rendition): MeterLease {
    const metered = this.#metered.get(rendition) ?? this.#begin(rendition);
    metered.users++;
    let held = true;
    return {
      meter: metered.meter,
      release: () => {
        if (!held) return;
        held = false;
        if (--metered.users > 0) return;
        metered.stop();
        this.#metered.delete(rendition);
      },
    };
  }

  #begin(rendition: Rendition): Metered {
    const { meter, stop } = measureRendition(rendition);
    const metered = { meter, stop, users: 0 };
    this.#metered.set(rendition, metered);
    return metered;
  }
}

/** Measures a rendition from now on. */
export function measureRendition(rendition: Rendition): { readonly meter: StreamMeter; readonly stop: () => void } {
  const meter = new StreamMeter();
  for (const header of [rendition.videoHeader, rendition.audioHeader]) if (header) meter.take(header);
  const onTags = ({ tags }: TagGroup): void => {
    for (const tag of tags) meter.take(tag);
  };
  rendition.on('tags', onTags);
  return { meter, stop: () => rendition.off('tags', onTags) };
}
