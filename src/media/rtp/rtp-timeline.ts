/** A run of continuous RTP timestamps. */
interface Segment {
  /** The largest timestamp, and its distance from the segment's start in ticks. */
  timestamp: number;
  ticks: number;
  /** Media time of the segment's start. */
  startMs: number;
  /** Where the frame with the largest timestamp is in the order of presentation; `undefined`: not known. */
  order: number | undefined;
}

/** From the frame with the largest timestamp to another one. */
interface Step {
  readonly ticks: number;
  /** In the order of presentation; `undefined`: not known. */
  readonly frames: number | undefined;
  readonly order: number | undefined;
}

/** A segment that has not been confirmed yet. */
interface Candidate extends Segment {
  /** Different timestamps seen. */
  count: number;
}

export interface TimelineOptions {
  /** Hertz of the RTP timestamps. */
  readonly clockRate: number;
  /** Whether timestamps may be out of order: those of video with B-frames are in the order of presentation. */
  readonly reorders: boolean;
}

/** Different timestamps that confirm a restart: with sequence numbers, which tell retransmissions, and without. */
const CONFIRMATIONS = 2;
const CONFIRMATIONS_UNNUMBERED = 3;
/**
 * Encoders put up to three B-frames between two others, and a few more if they are told to: so many frames at most is a
 * frame shown before one that was sent earlier. The limits are for frame rates that vary.
 */
const REORDERED_FRAMES = 6;
const MIN_REORDER_MS = 100;
const MAX_REORDER_MS = 450;
/** Until the frame rate is known: at 15 frames per second, five B-frames may follow the first frame. */
const ASSUMED_FRAME_MS = 1000 / 15;
/** Where streams say the order of their frames: until the frame rate is known, there are at least five per second. */
const MAX_FRAME_MS = 200;
/** 16 B-frames at five frames per second. */
const MAX_REACH_MS = 3600;
/** Frame rates vary: a distance in the order of presentation takes at most this many times the usual time. */
const ORDER_SLACK = 2;
/**
 * Timestamps that advance by this much more than the time between two packets, to ahead of the fastest packet, have
 * jumped: when a network becomes faster, each packet is earlier than the last one by at most its own length. A frame that
 * precedes B-frames is ahead of them.
 */
const STEP_FORWARD_MS = 150;
/** Timestamps that are further ahead of the local clock have restarted, however they got there. */
const LEAP_FORWARD_MS = 1000;
/** Packets that were still in the reorder buffer when timestamps restarted are no older. */
const REMEMBERED_MS = 4000;
/** Sequence numbers that are further apart belong to another sequence. */
const MAX_SEQUENCE_DISTANCE = 3000;

/** What a packet says about the timestamps: it continues them, is old, or begins or confirms other ones. */
export type Arrival = 'continues' | 'old' | 'begins' | 'restarts';

/**
 * Turns RTP timestamps into "media time": milliseconds that do not wrap, begin at the local time of the first packet,
 * and go on at the local clock's time when timestamps restart.
 *
 * A restart is found at the first packet, whose time follows the local clock at once, and confirmed by the next ones.
 * Forwards, timestamps advance faster than time. Backwards, by sequence numbers that go on: retransmissions have old
 * ones, and B-frames are at most {@link REORDERED_FRAMES} frames back.
 */
export class RtpTimeline {
  readonly #ticksPerMs: number;
  readonly #reorders: boolean;
  #segment: Segment | undefined;
  /** The segment before the last restart, until the current one has this many ticks. */
  #before: Segment | undefined;
  #rememberedTicks = 0;
  /** Whether the current segment goes on with the timestamps of the one before. */
  #isShifted = false;
  #candidate: Candidate | undefined;
  #sequenceNumber: number | undefined;
  /** Packets that are missing since the last one that was taken. */
  #missing = 0;
  #missingBefore = 0;
  /** When the largest timestamp arrived. */
  #advancedMs = 0;
  #frameMs = ASSUMED_FRAME_MS;
  /** The furthest that a frame was before one that was sent earlier. */
  #furthestBackMs = 0;
  /** Different timestamps since the largest one. */
  #framesBehind = 0;
  #latest: number | undefined;
  /** Whether the last timestamp that was not old continued those before. */
  #hasContinued = false;
  /** Milliseconds from one frame to the next in the order of presentation; `undefined`: not known. */
  #orderMs: number | undefined;
  /** How far the largest timestamp was ahead of the one before it. */
  #stepMs = 0;
  /** How far frames may be before the largest timestamp, as the order of the frames says. */
  #reachMs = 0;

  constructor({ clockRate, reorders }: TimelineOptions) {
    this.#ticksPerMs = clockRate / 1000;
    this.#reorders = reorders;
  }

  get hasBegun(): boolean {
    return this.#segment !== undefined;
  }

  /**
   * Takes a packet's timestamp.
   *
   * @param expectedMs the media time of a packet that arrives now without delay
   * @param order where its frame is in the order of presentation, in frames. `undefined`: not known, or said by another
   *   packet of the frame
   * @param sequenceNumber `undefined`: not known
   */
  arrive(timestamp: number, nowMs: number, expectedMs: number, order?: number, sequenceNumber?: number): Arrival {
    if (!this.#segment) {
      this.#sequenceNumber = sequenceNumber;
      this.#advancedMs = nowMs;
      this.#latest = timestamp;
      this.#hasContinued = true;
      this.#segment = { timestamp, ticks: 0, startMs: nowMs, order };
      return 'begins';
    }
    if (this.#isOld(sequenceNumber)) return 'old';
    this.#missingBefore = this.#missing;
    this.#missing = 0;
    const isNumbered = sequenceNumber !== undefined;
    const repeats = timestamp === this.#latest;
    this.#latest = timestamp;
    const segment = this.#segment;
    if (repeats && this.#hasContinued) return 'continues';
    const step = stepFrom(segment, timestamp, order);
    this.#hasContinued = this.#continues(segment, step, nowMs, expectedMs, isNumbered);
    if (this.#hasContinued) {
      if (!repeats) this.#candidate = undefined;
      this.#advance(segment, timestamp, step, nowMs);
      return 'continues';
    }
    const candidate = this.#candidate;
    const stepMs = candidate && signed32(timestamp - candidate.timestamp) / this.#ticksPerMs;
    if (!candidate || Math.abs(stepMs!) > LEAP_FORWARD_MS + this.reorderedMs) {
      // Never before what has been, so that the time of a track does not go back.
      const startMs = Math.max(this.#mediaMs(segment, segment.timestamp), expectedMs);
      this.#candidate = { timestamp, ticks: 0, startMs, count: 1, order };
      return 'old';
    }
    if (!repeats) candidate.count++;
    if (stepMs! > 0) {
      candidate.ticks += signed32(timestamp - candidate.timestamp);
      candidate.timestamp = timestamp;
      candidate.order = order;
    }
    if (candidate.count < (isNumbered ? CONFIRMATIONS : CONFIRMATIONS_UNNUMBERED)) return 'old';
    this.#candidate = undefined;
    this.#segment = candidate;
    this.#hasContinued = true;
    this.#remember(segment, false);
    this.#advancedMs = nowMs;
    this.#framesBehind = 0;
    return 'restarts';
  }

  /** Takes a packet that says nothing of time. */
  skip(sequenceNumber: number): void {
    if (this.#segment) this.#isOld(sequenceNumber);
  }

  /** How many packets are missing before the last one that was taken. */
  get missingBefore(): number {
    return this.#missingBefore;
  }

  /** The largest timestamp; `undefined` before the first packet. */
  get largest(): number | undefined {
    return this.#segment?.timestamp;
  }

  /** Media time of a timestamp, by the segment that it belongs to. */
  mediaMs(timestamp: number): number {
    const segment = this.#segment!;
    const before = this.#before;
    if (!before && !this.#candidate) return this.#mediaMs(segment, timestamp);
    const distance = (to: Segment | undefined): number =>
      to ? Math.abs(signed32(timestamp - to.timestamp)) : Infinity;
    // Timestamps that went back have come to those before again.
    const isPresent = distance(segment) <= this.reorderMs * this.#ticksPerMs;
    const isBefore = this.#isShifted
      ? before && signed32(timestamp - before.timestamp) <= 0
      : !isPresent && distance(before) < distance(segment);
    const known = before && isBefore ? before : segment;
    return this.#mediaMs(distance(this.#candidate) < distance(known) ? this.#candidate! : known, timestamp);
  }

  /**
   * Timestamps from `timestamp` on are later by `byMs`: they stood still before. B-frames that are sent after that frame
   * are shown before it.
   */
  shift(timestamp: number, byMs: number): void {
    const segment = this.#segment!;
    const last = (timestamp - 1 - Math.round(this.reorderedMs * this.#ticksPerMs)) >>> 0;
    const ticks = segment.ticks + signed32(last - segment.timestamp);
    this.#segment = { ...segment, startMs: segment.startMs + byMs };
    this.#remember({ timestamp: last, ticks, startMs: segment.startMs, order: undefined }, true);
  }

  #remember(before: Segment, isShifted: boolean): void {
    this.#before = before;
    this.#isShifted = isShifted;
    this.#rememberedTicks = this.#segment!.ticks + REMEMBERED_MS * this.#ticksPerMs;
  }

  #isOld(sequenceNumber: number | undefined): boolean {
    if (sequenceNumber === undefined) return false;
    const distance = this.#sequenceNumber === undefined ? 1 : ((sequenceNumber - this.#sequenceNumber) << 16) >> 16;
    if (distance <= 0 && distance > -MAX_SEQUENCE_DISTANCE) return true;
    this.#sequenceNumber = sequenceNumber;
    this.#missing += distance > 0 ? distance - 1 : 0;
    return false;
  }

  /** A frame is at most so long before one that was sent earlier. */
  get reorderMs(): number {
    return this.#reorderMs(true);
  }

  /** The same for this track: 0 until there was such a frame. */
  get reorderedMs(): number {
    return this.#furthestBackMs > 0 ? this.reorderMs : 0;
  }

  /** How long a number of frames takes at the usual rate, as far as that is known. */
  durationMs(frames: number): number {
    return frames * (this.#orderMs ?? 0);
  }

  #continues(
    segment: Segment,
    { ticks, frames }: Step,
    nowMs: number,
    expectedMs: number,
    isNumbered: boolean,
  ): boolean {
    const stepMs = ticks / this.#ticksPerMs;
    if (stepMs < 0) {
      if (frames !== undefined) return frames < 0 && -stepMs <= Math.max(this.#stepMs, this.#atMostMs(-frames));
      return -stepMs <= this.#reorderMs(isNumbered) && (this.#reachMs > 0 || this.#framesBehind < REORDERED_FRAMES);
    }
    const aheadMs = segment.startMs + (segment.ticks + ticks) / this.#ticksPerMs - expectedMs;
    // B-frames that are shown between the two.
    const reachMs = frames === undefined ? this.#reachMs : this.#atMostMs(frames - 1);
    if (aheadMs > LEAP_FORWARD_MS + reachMs) return false;
    const assumedMs = this.#reorders && segment.ticks === 0 ? this.reorderMs : this.#furthestBackMs;
    const limitMs = STEP_FORWARD_MS + (frames === undefined ? assumedMs : reachMs);
    return aheadMs <= limitMs || stepMs - (nowMs - this.#advancedMs) <= limitMs;
  }

  /** How long a number of frames takes at most. */
  #atMostMs(frames: number): number {
    return Math.min(Math.max(0, frames) * ORDER_SLACK * (this.#orderMs ?? MAX_FRAME_MS), MAX_REACH_MS);
  }

  #reorderMs(isNumbered: boolean): number {
    if (!this.#reorders) return isNumbered ? 0 : MIN_REORDER_MS;
    return Math.max(
      this.#reachMs,
      Math.min(MAX_REORDER_MS, Math.max(MIN_REORDER_MS, REORDERED_FRAMES * this.#frameMs)),
    );
  }

  #advance(segment: Segment, timestamp: number, { ticks, frames, order }: Step, nowMs: number): void {
    const stepMs = ticks / this.#ticksPerMs;
    this.#framesBehind++;
    if (ticks <= 0) {
      this.#furthestBackMs = Math.max(this.#furthestBackMs, -stepMs);
      return;
    }
    segment.timestamp = timestamp;
    segment.ticks += ticks;
    segment.order = order;
    this.#stepMs = stepMs;
    this.#advancedMs = nowMs;
    if (frames !== undefined) {
      const orderMs = Math.min(stepMs / frames, MAX_FRAME_MS);
      this.#orderMs = this.#orderMs === undefined ? orderMs : this.#orderMs + (orderMs - this.#orderMs) / 8;
      if (frames > 1) this.#reachMs = Math.max(this.#reachMs, Math.min(stepMs + orderMs, this.#atMostMs(frames)));
    }
    const frameMs = Math.min(stepMs / this.#framesBehind, MAX_REORDER_MS);
    this.#frameMs += (frameMs - this.#frameMs) / 8;
    this.#framesBehind = 0;
    if (segment.ticks > this.#rememberedTicks) this.#before = undefined;
  }

  #mediaMs(segment: Segment, timestamp: number): number {
    return segment.startMs + (segment.ticks + signed32(timestamp - segment.timestamp)) / this.#ticksPerMs;
  }
}

function stepFrom(segment: Segment, timestamp: number, order: number | undefined): Step {
  const ticks = signed32(timestamp - segment.timestamp);
  const frames = order === undefined || segment.order === undefined ? undefined : order - segment.order;
  // The order has begun again.
  const isRestarted = frames !== undefined && frames <= 0 && ticks > 0;
  return { ticks, frames: isRestarted ? undefined : frames, order };
}

/** The signed distance between two 32-bit timestamps. */
function signed32(difference: number): number {
  return difference | 0;
}
