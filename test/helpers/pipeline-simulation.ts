import { EventEmitter } from 'node:events';
import type { FlvTag } from '../../src/media/containers/flv-tag.ts';
import { AAC_SAMPLES_PER_FRAME } from '../../src/media/codecs/aac.ts';
import type { TrackKind } from '../../src/media/rtp/media-clock.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { AudioEncoder } from '../../src/renditions/audio-encoder.ts';
import { createAudioInput } from '../../src/renditions/audio-input.ts';
import { AAC_FORMAT } from '../../src/renditions/audio-format.ts';
import { AudioLine } from '../../src/renditions/audio-line.ts';
import type { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import { StreamTime } from '../../src/renditions/stream-time.ts';
import { DEFAULT_MAX_FRAME_SIZE } from '../../src/renditions/frame-limit.ts';
import { TrackInput } from '../../src/renditions/track-input.ts';
import { VideoInput } from '../../src/renditions/video-input.ts';
import type { H264Frame, InputFrame } from '../../src/renditions/video-source.ts';
import type { AudioTrack, VideoTrack } from '../../src/streams/live-stream.ts';
import { FakeSubscription } from './fake-publisher.ts';
import { shownOf, type H264Coder } from './h264-coder.ts';
import { payloadsOf } from './h264-stream.ts';
import { randomFrom } from './random.ts';

export const KINDS = ['audio', 'video'] as const;
const TICKS_PER_MS = { audio: 48, video: 90 } as const;
const TICK_MS = 40;
/** First bytes of Opus packets by their length in milliseconds (RFC 6716, 3.1). */
const TOCS = new Map([
  [10, 0xf0],
  [20, 0xf8],
  [40, 0x10],
  [60, 0x18],
  [120, 0x19],
]);

/** One track of the simulated publisher. What is changed between two runs is in force from then on. */
export interface SimulatedTrack {
  /** RTP time minus capture time, in milliseconds. It wraps like real timestamps. */
  rtpOffsetMs: number;
  /** How much faster the RTP clock runs than the wall clock. */
  rtpDrift: number;
  /** From sending to arrival, at least, and what jitter adds. */
  delayMs: number;
  jitterMs: number;
  /** Of a packet of audio, or between two frames. */
  lengthMs: number;
  /** Milliseconds between reports, and their error to both sides. */
  reportEveryMs: number;
  reportNoiseMs: number;
  firstReportMs: number;
  /** The share of packets that are lost, and of those that come again this much later, with old sequence numbers. */
  loss: number;
  lateShare: number;
  lateMs: number;
  /** Nothing is sent; `frozen`: timestamps stand still meanwhile. */
  state: 'sending' | 'paused' | 'frozen';
}

/** What the stream emitted. */
export interface Sent {
  readonly kind: TrackKind;
  readonly atMs: number;
  readonly streamMs: number;
  /** When it was captured; `undefined`: silence. */
  readonly captureMs: number | undefined;
  /** Of coded video. */
  readonly decodeMs?: number;
}

type Delivery = { readonly atMs: number; readonly run: () => void };

/** Counts samples, and returns with each frame when its first sample was captured. */
class FakeCoder extends EventEmitter {
  readonly running = true;
  #samples = 0;
  #frames = 0;
  #parts: { from: number; captureMs: number }[] = [];

  encode(packet: Buffer, samples: number): void {
    this.#parts.push({ from: this.#samples, captureMs: packet.length === 9 ? packet.readDoubleLE(1) : NaN });
    this.#samples += samples;
    for (; this.#frames * AAC_SAMPLES_PER_FRAME <= this.#samples; this.#frames++) {
      const sample = (this.#frames - 1) * AAC_SAMPLES_PER_FRAME;
      while (this.#parts.length > 1 && this.#parts[1]!.from <= sample) this.#parts.shift();
      const frame = Buffer.alloc(9);
      frame.writeDoubleLE(this.#parts[0]!.captureMs + (sample - this.#parts[0]!.from) / 48, 1);
      this.emit('frame', frame);
    }
  }

  async close(): Promise<void> {}
}

/**
 * A publisher, its network, and the parts of the gateway between RTP and FLV tags, in simulated time: order of packets,
 * clock, encoder (with a coder that only counts) and the continuous audio track.
 */
export class PipelineSimulation {
  readonly audio: SimulatedTrack;
  readonly video: SimulatedTrack;
  readonly sent: Sent[] = [];
  /** How far the times of reports are off, in the order of sending. */
  readonly reportErrors: Readonly<Record<TrackKind, number[]>> = { audio: [], video: [] };
  readonly random: () => number;
  nowMs = 0;
  /** Of the publisher's wall clock. */
  ntpOffsetMs = 3.9e12;
  /** Whether reports relate the first sample of a packet to the moment of sending. */
  reportsSending = false;
  /** B-frames between two other frames. */
  bFrames = 0;
  /** Codes the frames, instead of packets that only have a timestamp. Set by {@link create}; may be replaced. */
  coder: H264Coder | undefined;
  readonly #time = new StreamTime();
  readonly #line: AudioLine;
  readonly #inputs: { poll(nowMs: number): void }[] = [];
  /** When frames were captured, by the number of each coded frame. */
  readonly #captures = new Map<number, number>();
  readonly #subscriptions = { audio: new FakeSubscription(), video: new FakeSubscription() };
  readonly #captured = { audio: 0, video: 0 };
  readonly #arrived = { audio: 0, video: 0 };
  readonly #reportAt = { audio: NaN, video: NaN };
  readonly #sequence = { audio: 0, video: 0 };
  #frame = 0;
  #lastVideoMs = -1;
  #later: Delivery[] = [];

  private constructor(seed: number, tracks: Partial<Record<TrackKind, Partial<SimulatedTrack>>>) {
    this.random = randomFrom(seed);
    const plain = {
      rtpOffsetMs: 12_345,
      rtpDrift: 0,
      delayMs: 30,
      jitterMs: 3,
      reportNoiseMs: 1,
      reportEveryMs: Infinity,
      loss: 0,
      lateShare: 0,
      lateMs: 0,
      state: 'sending',
    } as const;
    this.audio = { ...plain, lengthMs: 20, firstReportMs: 1000, ...tracks.audio };
    this.video = { ...plain, lengthMs: 1000 / 30, firstReportMs: 400, ...tracks.video };
    this.#sequence = { audio: Math.floor(this.random() * 65_536), video: Math.floor(this.random() * 65_536) };
    this.#line = new AudioLine(0, (tag) => this.#takeAudio(tag));
  }

  static async create(
    tracks: Partial<Record<TrackKind, Partial<SimulatedTrack>>> = {},
    seed = 1,
    coder?: H264Coder,
  ): Promise<PipelineSimulation> {
    const simulation = new PipelineSimulation(seed, tracks);
    simulation.coder = coder;
    await simulation.#connect();
    return simulation;
  }

  async #connect(): Promise<void> {
    const now = (): number => this.nowMs;
    const encoder = new AudioEncoder('opus', 48_000, {
      audioBitrate: 128,
      audioBatchMs: 0,
      sharedEncoders: { open: () => new FakeCoder() } as unknown as SharedEncoders,
      logger: silentLogger,
      now,
    });
    encoder.on('frame', (raw, streamMs) => this.#line.live(raw, streamMs));
    const track = (kind: TrackKind): object => ({
      kind,
      codec: kind === 'audio' ? 'opus' : 'h264',
      clockRate: TICKS_PER_MS[kind] * 1000,
      subscribe: async () => this.#subscriptions[kind],
    });
    const audio = await createAudioInput(
      track('audio') as AudioTrack,
      this.#time,
      (payload, rtpTimestamp, streamMs) => encoder.encode(payload, rtpTimestamp, streamMs),
      now,
    );
    this.#inputs.push(audio, await this.#createVideo(track('video') as VideoTrack, now));
  }

  async #createVideo(track: VideoTrack, now: () => number): Promise<TrackInput | VideoInput> {
    if (this.coder) {
      const sink = { frame: (frame: InputFrame) => this.#takeCoded(frame), keyFrameNeeded() {}, refused() {} };
      return VideoInput.create(track, this.#time, DEFAULT_MAX_FRAME_SIZE, sink, now);
    }
    const clock = this.#time.track('video', 90_000);
    return TrackInput.create(
      track,
      clock,
      {
        packet: ({ payload, timestamp }, nowMs) => {
          this.#time.arrived(clock, timestamp, nowMs);
          this.#takeVideo(clock.presentationMs(timestamp), payload.readDoubleLE(1));
        },
        lost: () => {},
      },
      now,
    );
  }

  /** Runs until `untilMs`. Packets that are sent before arrive in this run, in order except late ones. */
  run(untilMs: number): void {
    const due = this.#later;
    this.#later = [];
    for (const kind of KINDS) this.#send(kind, untilMs, due);
    for (let atMs = Math.ceil(this.nowMs / TICK_MS) * TICK_MS; atMs < untilMs; atMs += TICK_MS)
      due.push({ atMs, run: () => this.#tick() });
    due.sort((a, b) => a.atMs - b.atMs);
    for (const delivery of due) {
      if (delivery.atMs >= untilMs) {
        this.#later.push(delivery);
        continue;
      }
      this.nowMs = delivery.atMs;
      delivery.run();
    }
    this.nowMs = untilMs;
  }

  /** The publisher loses media, and continues the timestamps as if nothing were missing. */
  lose(kind: TrackKind, ms: number): void {
    this.#captured[kind] += ms;
    this[kind].rtpOffsetMs -= ms;
  }

  #send(kind: TrackKind, untilMs: number, due: Delivery[]): void {
    const track = this[kind];
    if (Number.isNaN(this.#reportAt[kind])) this.#reportAt[kind] = track.firstReportMs;
    for (;;) {
      const captureMs = this.#captured[kind];
      const sentMs = captureMs + (kind === 'audio' ? track.lengthMs : this.#reordered * track.lengthMs);
      if (sentMs >= untilMs) return;
      this.#captured[kind] += track.lengthMs;
      const arrivalMs = sentMs + track.delayMs + this.random() ** 3 * track.jitterMs;
      const atMs = (this.#arrived[kind] = Math.max(this.#arrived[kind], arrivalMs));
      // Timestamps that stand still are later by as much afterwards.
      if (track.state === 'frozen') track.rtpOffsetMs -= track.lengthMs;
      if (track.state === 'sending') {
        if (kind === 'video' && this.coder) this.#codedFrame(this.coder, captureMs, atMs, due);
        else this.#packet(kind, kind === 'video' ? this.#shownMs(captureMs, track.lengthMs) : captureMs, atMs, due);
      }
      if (captureMs < this.#reportAt[kind]) continue;
      this.#reportAt[kind] += track.reportEveryMs;
      const noise = (this.random() - 0.5) * 2 * track.reportNoiseMs;
      this.reportErrors[kind].push(noise);
      const delay = kind === 'audio' && this.reportsSending ? track.lengthMs : 0;
      const report = { ntpMs: captureMs + this.ntpOffsetMs + noise + delay, rtpTimestamp: this.#rtp(kind, captureMs) };
      due.push({ atMs, run: () => this.#subscriptions[kind].emit('senderReport', report) });
    }
  }

  /** The capture time of the frame that is sent in this place: a P-frame goes before the B-frames that it follows. */
  #shownMs(captureMs: number, lengthMs: number): number {
    if (this.bFrames === 0) return captureMs;
    const place = this.#frame++ % (this.bFrames + 1);
    return captureMs + (place === 0 ? this.bFrames : -1) * lengthMs;
  }

  get #reordered(): number {
    return this.coder?.coding.bFrames ?? this.bFrames;
  }

  #codedFrame(coder: H264Coder, placeMs: number, atMs: number, due: Delivery[]): void {
    const frame = coder.next();
    const captureMs = placeMs + frame.ahead * this.video.lengthMs;
    this.#captures.set(frame.shown, captureMs);
    const payloads = frame.nalUnits.flatMap(payloadsOf);
    for (const [index, payload] of payloads.entries()) {
      const datagram = Buffer.concat([this.#header('video', captureMs, index === payloads.length - 1), payload]);
      this.#deliver('video', datagram, atMs, due);
    }
  }

  #rtp(kind: TrackKind, captureMs: number): number {
    const track = this[kind];
    return Math.round((captureMs * (1 + track.rtpDrift) + track.rtpOffsetMs) * TICKS_PER_MS[kind]) >>> 0;
  }

  #packet(kind: TrackKind, captureMs: number, atMs: number, due: Delivery[]): void {
    const payload = Buffer.alloc(9);
    payload[0] = TOCS.get(this[kind].lengthMs) ?? 0;
    payload.writeDoubleLE(captureMs, 1);
    this.#deliver(kind, Buffer.concat([this.#header(kind, captureMs, true), payload]), atMs, due);
  }

  #header(kind: TrackKind, captureMs: number, marker: boolean): Buffer {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = (marker ? 0x80 : 0) | 96;
    header.writeUInt16BE(this.#sequence[kind]++ & 0xffff, 2);
    header.writeUInt32BE(this.#rtp(kind, captureMs), 4);
    header.writeUInt32BE(1, 8);
    return header;
  }

  #deliver(kind: TrackKind, datagram: Buffer, atMs: number, due: Delivery[]): void {
    const track = this[kind];
    if (track.loss > 0 && this.random() < track.loss) return;
    const lateMs = track.lateShare > 0 && this.random() < track.lateShare ? track.lateMs : 0;
    due.push({ atMs: atMs + lateMs, run: () => this.#subscriptions[kind].emit('rtp', datagram) });
  }

  #tick(): void {
    for (const input of this.#inputs) input.poll(this.nowMs);
    const presentMs = this.#time.presentMs(this.nowMs);
    if (presentMs !== undefined) this.#line.fill(presentMs, true, this.#time.audioDelayMs());
  }

  #takeAudio({ timestamp, data }: FlvTag): void {
    const captureMs = data === AAC_FORMAT.silence ? NaN : data.readDoubleLE(data.length - 8);
    this.#sent('audio', timestamp, captureMs);
  }

  #takeVideo(streamMs: number, captureMs: number): void {
    if (this.bFrames === 0) this.#lastVideoMs = Math.max(Math.round(streamMs), this.#lastVideoMs + 1);
    this.#sent('video', this.bFrames === 0 ? this.#lastVideoMs : streamMs, captureMs);
  }

  #takeCoded({ streamMs, ...frame }: InputFrame): void {
    const { presentMs = streamMs, nalUnits } = frame as H264Frame;
    const captureMs = this.#captures.get(shownOf(nalUnits.at(-1)!));
    this.sent.push({ kind: 'video', atMs: this.nowMs, streamMs: presentMs, captureMs, decodeMs: streamMs });
  }

  #sent(kind: TrackKind, streamMs: number, captureMs: number): void {
    this.sent.push({ kind, atMs: this.nowMs, streamMs, captureMs: Number.isNaN(captureMs) ? undefined : captureMs });
  }
}
