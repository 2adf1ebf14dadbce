import { TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../media/containers/flv-tag.ts';
import { TagGroup } from '../media/containers/tag-group.ts';
import type { Rendition } from '../renditions/rendition.ts';
import { LatenessMeter } from './lateness-meter.ts';
import { nextLateState, ON_TIME, TOO_LATE_MS, type LateState } from './late-state.ts';

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
  readonly meters: { readonly audio: LatenessMeter; readonly video: LatenessMeter };
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
 * Audio costs little, and is dropped only while it is too late itself.
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
        meters: { audio: new LatenessMeter(), video: new LatenessMeter() },
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
    const latenessMs = latenessOf(group, of.meters, nowMs);
    if (latenessMs !== undefined) {
      const before = of.state;
      of.state = nextLateState(before, { latenessMs, overloaded: this.#load.overloaded, nowMs });
      if (of.state.status === 'dropping') of.awaitsKeyFrame = true;
      else if (before.status === 'dropping') {
        if (of.state.status === 'on-time' && of.state.remeasure) {
          of.meters.audio.reset();
          of.meters.video.reset();
        }
        rendition.requestKeyFrame();
      }
    }
    if (of.state.status !== 'dropping' && !of.awaitsKeyFrame) return { admitted: group, framesDropped: 0 };
    const isDropping = of.state.status === 'dropping';
    let framesDropped = 0;
    const kept = group.tags.filter((tag) => {
      if (isSetUp(tag)) return true;
      if (tag.type !== TAG_VIDEO) return !isDropping || (latenessMs ?? 0) <= TOO_LATE_MS;
      if (!isDropping && tag.keyFrame) of.awaitsKeyFrame = false;
      if (!of.awaitsKeyFrame) return true;
      framesDropped++;
      return false;
    });
    const admitted = kept.length === 0 ? undefined : kept.length === group.tags.length ? group : new TagGroup(kept);
    return { admitted, framesDropped };
  }
}

/** Metadata and sequence headers: what follows cannot be decoded without them. */
const isSetUp = (tag: FlvTag): boolean => tag.sequenceHeader || tag.type === TAG_SCRIPT;

/**
 * By how much the group is late: the track in it that is less late counts. Nothing for a group without media. Audio
 * flows alone while video is paused.
 */
function latenessOf({ tags }: TagGroup, meters: RenditionState['meters'], nowMs: number): number | undefined {
  let [audioMs, videoMs] = [-Infinity, -Infinity];
  for (const tag of tags) {
    if (isSetUp(tag)) continue;
    if (tag.type === TAG_VIDEO) videoMs = Math.max(videoMs, tag.timestamp);
    else audioMs = Math.max(audioMs, tag.timestamp);
  }
  const audio = audioMs === -Infinity ? Infinity : meters.audio.update(audioMs, nowMs);
  const video = videoMs === -Infinity ? Infinity : meters.video.update(videoMs, nowMs);
  return audio === Infinity && video === Infinity ? undefined : Math.min(audio, video);
}
