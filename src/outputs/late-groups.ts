import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import type { Rendition } from '../renditions/rendition.ts';
import { LatenessMeter } from './lateness-meter.ts';
import { nextLateState, ON_TIME, type LateState } from './late-state.ts';

/** Whether the gateway has more work than its event loop can do. */
export interface LoadSignal {
  readonly overloaded: boolean;
}

/** The part of a group that the outputs of a rendition receive. */
export interface Decision {
  /** The group itself where nothing is dropped; `undefined` where nothing is left. */
  readonly admitted: TagGroup | undefined;
  readonly framesDropped: number;
}

interface RenditionState {
  readonly meter: LatenessMeter;
  state: LateState;
  /** Frames are useless until the next key frame, because an earlier frame was dropped. */
  awaitsKeyFrame: boolean;
  lastGroup: TagGroup | undefined;
  lastDecision: Decision;
}

const NOTHING: Decision = { admitted: undefined, framesDropped: 0 };

/**
 * Drops what is too late while the gateway is overloaded, between the renditions and their outputs. Outputs of one
 * rendition lose the same groups, and every rendition is measured by the same limits, so the loss is even. Sending is
 * what costs most per destination: without it the event loop catches up, and the outputs go on at the next key frame.
 */
export class LateGroups {
  readonly #load: LoadSignal;
  readonly #renditions = new WeakMap<Rendition, RenditionState>();
  #framesDropped = 0;

  constructor(load: LoadSignal) {
    this.#load = load;
  }

  /** Frames that outputs have lost this way; each output counts. */
  get framesDropped(): number {
    return this.#framesDropped;
  }

  countDropped(frames: number): void {
    this.#framesDropped += frames;
  }

  /** Decides about a group, once for all outputs of the rendition. */
  admit(rendition: Rendition, group: TagGroup, nowMs: number): Decision {
    let of = this.#renditions.get(rendition);
    if (!of) {
      of = {
        meter: new LatenessMeter(),
        state: ON_TIME,
        awaitsKeyFrame: false,
        lastGroup: undefined,
        lastDecision: NOTHING,
      };
      this.#renditions.set(rendition, of);
    }
    if (of.lastGroup !== group) {
      of.lastGroup = group;
      of.lastDecision = this.#decide(of, rendition, group, nowMs);
    }
    return of.lastDecision;
  }

  #decide(of: RenditionState, rendition: Rendition, group: TagGroup, nowMs: number): Decision {
    const newestMs = newestMediaMs(group);
    if (newestMs !== undefined) {
      const latenessMs = of.meter.update(newestMs, nowMs);
      const before = of.state;
      of.state = nextLateState(before, { latenessMs, overloaded: this.#load.overloaded, nowMs });
      if (of.state.status === 'dropping') of.awaitsKeyFrame = true;
      else if (before.status === 'dropping') {
        if (of.state.status === 'on-time' && of.state.remeasure) of.meter.reset();
        rendition.requestKeyFrame();
      }
    }
    if (of.state.status !== 'dropping' && !of.awaitsKeyFrame) return { admitted: group, framesDropped: 0 };
    let framesDropped = 0;
    const kept = group.tags.filter((tag) => {
      if (isSetUp(tag)) return true;
      if (of.state.status !== 'dropping') {
        if (tag.type !== TAG_VIDEO) return true;
        if (tag.keyFrame) of.awaitsKeyFrame = false;
        if (!of.awaitsKeyFrame) return true;
      }
      if (tag.type === TAG_VIDEO) framesDropped++;
      return false;
    });
    const admitted = kept.length === 0 ? undefined : kept.length === group.tags.length ? group : new TagGroup(kept);
    return { admitted, framesDropped };
  }
}

/** Metadata and sequence headers: what follows cannot be decoded without them. */
const isSetUp = (tag: FlvTag): boolean => tag.sequenceHeader || tag.type === TAG_SCRIPT;

function newestMediaMs({ tags }: TagGroup): number | undefined {
  let newestMs: number | undefined;
  for (const tag of tags)
    if (!isSetUp(tag) && (newestMs === undefined || tag.timestamp > newestMs)) newestMs = tag.timestamp;
  return newestMs;
}
