import { ParameterSetStore } from '../media/codecs/avc-parameter-sets.ts';
import { Av1Depacketizer } from '../media/rtp/av1.ts';
import { DecodeTimes } from '../media/rtp/decode-times.ts';
import type { Depacketizer, Frame } from '../media/rtp/depacketizer.ts';
import { H264Order } from '../media/rtp/h264-order.ts';
import { H264Depacketizer, type AccessUnit } from '../media/rtp/h264.ts';
import { NO_DETAILS, type TrackClock } from '../media/rtp/media-clock.ts';
import type { RtpPacket } from '../media/rtp/rtp-packet.ts';
import type { VideoFrame } from '../media/rtp/video-frame.ts';
import { Vp8Depacketizer } from '../media/rtp/vp8.ts';
import { Vp9Depacketizer } from '../media/rtp/vp9.ts';
import type { FrameSize, VideoCodec, VideoTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { frameTooLarge, isCodedWithin, isWithin } from './frame-limit.ts';
import { formatOf, type SpsFormat } from './sps-format.ts';
import type { StreamTime } from './stream-time.ts';
import { TrackInput, type TrackInputHandlers } from './track-input.ts';
import type { InputFrame, VideoSink, VideoSource } from './video-source.ts';

/** A frame that may be complete waits this long for the packet that proves it. Milliseconds. */
const MAX_WAIT_MS = 100;
/** The first frame of a stream that may be reordered waits this long for the next one, at five frames per second. */
const MAX_FIRST_WAIT_MS = 300;
/** After this time without a frame, it is said what is wrong with the packets. Milliseconds. */
const PATIENCE_MS = 5000;
/** Without packets for this time, the publisher has paused: nothing is wrong with them. Milliseconds. */
const PAUSE_MS = 1000;

/** At five frames per second. */
const MAX_FRAME_MS = 200;
/** RTP timestamps of H.264 (RFC 6184, 5.1). */
const TICKS_PER_MS = 90;

const NO_PARAMETER_SETS = 'no parameter sets (SPS, PPS) have come, neither in RTP nor in the SDP';
const NO_KEY_FRAME = 'no key frame (with H.264 an IDR frame or a recovery point) has come, although it was requested';
const NOT_REQUESTED =
  'no key frame has come, and none can be requested: the SDP of the publisher agrees to neither PLI nor FIR ' +
  '(a=rtcp-fb with nack pli or ccm fir)';
const INCOMPLETE = 'all frames are incomplete or damaged';

/** The depacketizer of a track, and what is done with its frames. */
interface TrackDepacketizer {
  take(packet: RtpPacket, nowMs: number): void;
  lost(nowMs: number): void;
  flush(nowMs: number): void;
  readonly isWaiting: boolean;
  /** What cannot be used, as far as the packets show it. */
  readonly unusable: string;
}

interface Captured {
  readonly unit: AccessUnit;
  readonly capturedMs: number;
}
interface Reordered extends Captured {
  readonly format: SpsFormat;
}

/** The video track of a publisher: RTP packets in, complete frames within the size limit out. */
export class VideoInput implements VideoSource {
  readonly codec: VideoCodec;
  readonly #track: VideoTrack;
  readonly #limit: FrameSize;
  readonly #sink: VideoSink;
  readonly #time: StreamTime;
  readonly #clock: TrackClock;
  readonly #depacketizer: TrackDepacketizer;
  readonly #decodeTimes = new DecodeTimes();
  #packetOrder: H264Order | undefined;
  #input: TrackInput | undefined;
  #closed = false;
  /** The last key frame was too large: what follows refers to it. */
  #refused = false;
  #format: SpsFormat | undefined;
  /** The last frames cannot be decoded: the next one that can is a beginning. */
  #isBroken = true;
  /**
   * When the key frame is shown with which the frames began again, until a frame comes that is shown after it: those
   * before it refer to frames that are missing.
   */
  #beganAtMs: number | undefined;
  /** The latest RTP timestamp, and the same in milliseconds that do not wrap. */
  #latest: { readonly rtpTimestamp: number; readonly ms: number } | undefined;
  /** The first frame of a stream that is reordered, until the next one is there. */
  #first: Reordered | undefined;
  /** The largest {@link AccessUnit.order} since the last beginning. */
  #largestOrder: number | undefined;
  #hasBegun = false;
  #lastPacketMs = -Infinity;
  /** Since when packets have become no frame. */
  #uselessSinceMs: number | undefined;
  #unusable: string | undefined;

  private constructor(track: VideoTrack, time: StreamTime, limit: FrameSize, sink: VideoSink) {
    this.codec = track.codec;
    this.#track = track;
    this.#limit = limit;
    this.#sink = sink;
    this.#time = time;
    this.#clock = time.track('video', track.clockRate);
    this.#depacketizer = this.#createDepacketizer(track);
  }

  /**
   * @param limit the largest frame that is accepted
   * @param now the monotonic clock, in milliseconds
   */
  static async create(
    track: VideoTrack,
    time: StreamTime,
    limit: FrameSize,
    sink: VideoSink,
    now: () => number = tickMs,
  ): Promise<VideoInput> {
    const video = new VideoInput(track, time, limit, sink);
    const handlers: TrackInputHandlers = {
      details: (packet) => (video.#packetOrder ? video.#packetOrder.read(packet) : NO_DETAILS),
      packet: (packet, nowMs) => video.#take(packet, nowMs),
      lost: () => {
        video.#depacketizer.lost(now());
        sink.keyFrameNeeded(now());
      },
    };
    video.#input = await TrackInput.create(track, video.#clock, handlers, now);
    return video;
  }

  get unusable(): string | undefined {
    return this.#unusable;
  }

  requestKeyFrame(): void {
    this.#input?.requestKeyFrame();
  }

  poll(nowMs: number): void {
    this.#input?.poll(nowMs);
    const waitedMs = nowMs - this.#lastPacketMs;
    if (waitedMs >= MAX_WAIT_MS && this.#depacketizer.isWaiting) this.#depacketizer.flush(nowMs);
    if (waitedMs >= MAX_FIRST_WAIT_MS) this.#releaseFirst(nowMs);
    const isUseless = this.#uselessSinceMs !== undefined && nowMs - this.#uselessSinceMs >= PATIENCE_MS;
    if (isUseless && nowMs - this.#lastPacketMs < PAUSE_MS) this.#unusable ??= this.#explain();
  }

  #explain(): string {
    const { unusable } = this.#depacketizer;
    return unusable === NO_KEY_FRAME && this.#track.takesRequests === false ? NOT_REQUESTED : unusable;
  }

  close(): void {
    this.#closed = true;
    this.#input?.close();
  }

  #take(packet: RtpPacket, nowMs: number): void {
    if (nowMs - this.#lastPacketMs >= PAUSE_MS) this.#uselessSinceMs = undefined;
    this.#lastPacketMs = nowMs;
    this.#uselessSinceMs ??= nowMs;
    this.#depacketizer.take(packet, nowMs);
  }

  #createDepacketizer(track: VideoTrack): TrackDepacketizer {
    const { codec } = track;
    const options = { provesMarkers: true };
    if (codec === 'h264') {
      const sets = track.parameterSets ?? new ParameterSetStore();
      const h264 = new H264Depacketizer(sets, options);
      this.#packetOrder = new H264Order(sets);
      return adapt(
        h264,
        (unit, nowMs) => this.#accessUnit(unit, nowMs),
        () => h264.unusable ?? (h264.hasParameterSets ? undefined : NO_PARAMETER_SETS),
      );
    }
    const foreign =
      codec === 'vp8'
        ? new Vp8Depacketizer(options)
        : codec === 'vp9'
          ? new Vp9Depacketizer(options)
          : new Av1Depacketizer(options);
    return adapt<VideoFrame>(foreign, (frame, nowMs) => this.#foreignFrame(codec, frame, nowMs));
  }

  #accessUnit(unit: AccessUnit, nowMs: number): void {
    const { corrupted, keyFrame, parameterSets, timestamp } = unit;
    const captured = this.#capture(timestamp);
    if (keyFrame && parameterSets && parameterSets.sps !== this.#format?.sps)
      this.#format = formatOf(parameterSets.sps);
    const format = this.#format;
    if (format && format.reorderDepth !== 0 && keyFrame && !this.#hasBegun) {
      this.#hasBegun = true;
      this.#first = { unit, format, capturedMs: captured.ms };
      return;
    }
    const arrivedMs = this.#time.arrived(this.#clock, timestamp, nowMs);
    this.#releaseFirst(nowMs, { unit, capturedMs: captured.ms });
    // A size that is unknown cannot be checked.
    if (corrupted || (keyFrame && !parameterSets) || !format) return this.#needKeyFrame(nowMs);
    this.#hasBegun = true;
    if (format.reorderDepth === 0) return this.#inOrder(unit, format, arrivedMs, nowMs);
    const keepsTime = captured.isLatest && !format.reorderDepth;
    const presentMs = keepsTime ? arrivedMs : this.#clock.presentationMs(timestamp);
    this.#reordered({ unit, format, capturedMs: captured.ms }, presentMs, nowMs);
  }

  /** Frames are decoded when they are shown. */
  #inOrder(unit: AccessUnit, format: SpsFormat, streamMs: number, nowMs: number): void {
    this.#isBroken = false;
    this.#passUnit(unit, format, { streamMs }, nowMs);
  }

  #reordered({ unit, format, capturedMs }: Reordered, presentMs: number, nowMs: number, next?: Captured): void {
    if (this.#isBroken) this.#begin(presentMs);
    else if (this.#precedesBeginning(presentMs)) return;
    const streamMs = this.#decodeTimes.next(presentMs, capturedMs, {
      depth: this.#depthOf(format, unit, next?.unit),
      frameMs: frameMsOf(capturedMs, unit, next) ?? format.frameMs,
      reorderMs: this.#clock.reorderMs,
    });
    const times = this.#decodeTimes.depth > 0 ? { streamMs, presentMs } : { streamMs };
    this.#passUnit(unit, format, times, nowMs);
  }

  /** How many frames are shown later at most than one that follows them. */
  #depthOf({ reorderDepth, maxRefFrames }: SpsFormat, { order }: AccessUnit, next: AccessUnit | undefined): number {
    if (reorderDepth !== undefined || order === undefined) return reorderDepth ?? 0;
    const last = next?.order ?? order;
    const gap = last - (next ? order : (this.#largestOrder ?? order));
    this.#largestOrder = Math.max(this.#largestOrder ?? order, order);
    // B-frames will be shown between two frames that are not next to each other, and may be divided in halves.
    return gap < 2 ? 0 : Math.min(Math.ceil(Math.log2(gap)), maxRefFrames);
  }

  /**
   * The first frame of a stream that may be reordered. Where frames arrive evenly, the next one, which is shown after
   * its B-frames, is the first one that shows how long frames are on the way.
   */
  #releaseFirst(nowMs: number, next?: Captured): void {
    const first = this.#first;
    if (!first) return;
    this.#first = undefined;
    this.#reordered(first, this.#clock.presentationMs(first.unit.timestamp), nowMs, next);
  }

  #passUnit(
    { keyFrame, nalUnits, parameterSets }: AccessUnit,
    { shown: size, coded }: SpsFormat,
    times: { readonly streamMs: number; readonly presentMs?: number },
    nowMs: number,
  ): void {
    const frame = { codec: 'h264', keyFrame, nalUnits, ...times } as const;
    if (!keyFrame) return this.#pass(frame, nowMs);
    const claimed = isCodedWithin(coded, this.#limit) ? size : coded;
    this.#passKeyFrame({ ...frame, parameterSets: parameterSets!, size }, claimed, nowMs);
  }

  /** When a frame was captured on the publisher's clock, and whether no frame before it was captured later. */
  #capture(rtpTimestamp: number): { readonly ms: number; readonly isLatest: boolean } {
    this.#latest ??= { rtpTimestamp, ms: 0 };
    const capturedMs = this.#latest.ms + ((rtpTimestamp - this.#latest.rtpTimestamp) | 0) / TICKS_PER_MS;
    const isLatest = capturedMs >= this.#latest.ms;
    // What is further back is not reordered: the clock has restarted.
    const restarts = capturedMs < this.#latest.ms - this.#clock.reorderMs;
    if (restarts) this.#decodeTimes.forget();
    if (isLatest || restarts) this.#latest = { rtpTimestamp, ms: capturedMs };
    return { ms: capturedMs, isLatest };
  }

  #begin(presentMs: number): void {
    this.#isBroken = false;
    this.#beganAtMs = presentMs;
    this.#largestOrder = undefined;
    this.#decodeTimes.restart();
  }

  #precedesBeginning(presentMs: number): boolean {
    if (this.#beganAtMs === undefined) return false;
    if (presentMs < this.#beganAtMs) return true;
    this.#beganAtMs = undefined;
    return false;
  }

  #foreignFrame(codec: Exclude<VideoCodec, 'h264'>, frame: VideoFrame, nowMs: number): void {
    const { corrupted, keyFrame, data, width, height, timestamp } = frame;
    const streamMs = this.#time.arrived(this.#clock, timestamp, nowMs);
    if (corrupted) return this.#needKeyFrame(nowMs);
    if (!keyFrame) return this.#pass({ codec, streamMs, keyFrame, data }, nowMs);
    if (!width || !height) return this.#needKeyFrame(nowMs);
    const size = { width, height };
    this.#passKeyFrame({ codec, streamMs, keyFrame, data, size }, size, nowMs);
  }

  /** @param claimed the size that is checked */
  #passKeyFrame(frame: InputFrame, claimed: FrameSize, nowMs: number): void {
    if (this.#closed) return;
    this.#refused = !isWithin(claimed, this.#limit);
    if (this.#refused) this.#sink.refused(frameTooLarge(claimed, this.#limit));
    else this.#give(frame, nowMs);
  }

  #pass(frame: InputFrame, nowMs: number): void {
    if (!this.#refused && !this.#closed) this.#give(frame, nowMs);
  }

  #give(frame: InputFrame, nowMs: number): void {
    this.#uselessSinceMs = undefined;
    this.#unusable = undefined;
    this.#sink.frame(frame, nowMs);
  }

  #needKeyFrame(nowMs: number): void {
    this.#isBroken = true;
    if (!this.#closed) this.#sink.keyFrameNeeded(nowMs);
  }
}

/**
 * Connects a depacketizer of any codec with what takes its frames.
 *
 * @param unusable what is wrong with packets of this codec, if that is known
 */
function adapt<F extends Frame>(
  depacketizer: Depacketizer<F>,
  take: (frame: F, nowMs: number) => void,
  unusable: () => string | undefined = () => undefined,
): TrackDepacketizer {
  let frameCount = 0;
  const takeAll = (frames: readonly F[], nowMs: number): void => {
    frameCount += frames.length;
    for (const frame of frames) take(frame, nowMs);
  };
  return {
    take: (packet, nowMs) => takeAll(depacketizer.push(packet), nowMs),
    lost: (nowMs) => takeAll(depacketizer.packetLost(), nowMs),
    flush: (nowMs) => takeAll(depacketizer.flush(), nowMs),
    get isWaiting() {
      return depacketizer.isWaiting;
    },
    get unusable() {
      return unusable() ?? (frameCount > 0 ? NO_KEY_FRAME : INCOMPLETE);
    },
  };
}

/** Milliseconds between two frames, by the next one in decoding order. */
function frameMsOf(capturedMs: number, { order }: AccessUnit, next: Captured | undefined): number | undefined {
  if (order === undefined || next?.unit.order === undefined) return undefined;
  const frameMs = (next.capturedMs - capturedMs) / (next.unit.order - order);
  return frameMs > 0 && frameMs <= MAX_FRAME_MS ? frameMs : undefined;
}
