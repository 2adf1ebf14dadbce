import { parseSps } from '../media/codecs/avc.ts';
import { Av1Depacketizer } from '../media/rtp/av1.ts';
import { H264Depacketizer, type AccessUnit } from '../media/rtp/h264.ts';
import type { RtpPacket } from '../media/rtp/rtp-packet.ts';
import type { VideoFrame } from '../media/rtp/video-frame.ts';
import { Vp8Depacketizer } from '../media/rtp/vp8.ts';
import { Vp9Depacketizer } from '../media/rtp/vp9.ts';
import type { FrameSize, VideoCodec, VideoTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import { frameTooLarge, isCodedWithin, isWithin } from './frame-limit.ts';
import type { StreamTime } from './stream-time.ts';
import { TrackInput } from './track-input.ts';
import type { InputFrame, VideoSink, VideoSource } from './video-source.ts';

interface TrackDepacketizer {
  /** @param time converts an RTP timestamp to stream time */
  packet(packet: RtpPacket, time: (rtpTimestamp: number) => number, nowMs: number): void;
  lost(): void;
}

/** The video track of a publisher: RTP packets in, complete frames within the size limit out. */
export class VideoInput implements VideoSource {
  readonly codec: VideoCodec;
  readonly #limit: FrameSize;
  readonly #sink: VideoSink;
  #input: TrackInput | undefined;
  #closed = false;
  /** The last key frame was too large: what follows refers to it. */
  #refused = false;
  /** The last sequence parameter set and its sizes; `undefined` if it is invalid. */
  #sps: Buffer | undefined;
  #spsSize: { readonly shown: FrameSize; readonly coded: FrameSize } | undefined;

  private constructor(codec: VideoCodec, limit: FrameSize, sink: VideoSink) {
    this.codec = codec;
    this.#limit = limit;
    this.#sink = sink;
  }

  /** @param limit the largest frame that is accepted */
  static async create(track: VideoTrack, time: StreamTime, limit: FrameSize, sink: VideoSink): Promise<VideoInput> {
    const video = new VideoInput(track.codec, limit, sink);
    const clock = time.track('video', track.clockRate);
    const depacketizer = video.#depacketizer(track.codec);
    video.#input = await TrackInput.create(track, clock, {
      packet: (packet, nowMs) =>
        depacketizer.packet(packet, (rtpTimestamp) => time.arrived(clock, rtpTimestamp, nowMs), nowMs),
      lost: () => {
        depacketizer.lost();
        sink.keyFrameNeeded(tickMs());
      },
    });
    return video;
  }

  requestKeyFrame(): void {
    this.#input?.requestKeyFrame();
  }

  poll(nowMs: number): void {
    this.#input?.poll(nowMs);
  }

  close(): void {
    this.#closed = true;
    this.#input?.close();
  }

  #depacketizer(codec: VideoCodec): TrackDepacketizer {
    if (codec === 'h264') {
      const h264 = new H264Depacketizer();
      return {
        packet: (packet, time, nowMs) => {
          for (const unit of h264.push(packet)) this.#accessUnit(unit, h264, time(unit.timestamp), nowMs);
        },
        lost: () => h264.packetLost(),
      };
    }
    const foreign =
      codec === 'vp8' ? new Vp8Depacketizer() : codec === 'vp9' ? new Vp9Depacketizer() : new Av1Depacketizer();
    return {
      packet: (packet, time, nowMs) => {
        for (const frame of foreign.push(packet)) this.#foreignFrame(codec, frame, time(frame.timestamp), nowMs);
      },
      lost: () => foreign.packetLost(),
    };
  }

  #accessUnit(unit: AccessUnit, h264: H264Depacketizer, streamMs: number, nowMs: number): void {
    const { corrupted, keyFrame, nalUnits, bFrame } = unit;
    if (corrupted || !h264.hasParameterSets) return this.#needKeyFrame(nowMs);
    const frame = { codec: 'h264', streamMs, keyFrame, nalUnits, bFrame } as const;
    if (!keyFrame) return this.#pass(frame, nowMs);
    const parameterSets = h264.parameterSets!;
    if (parameterSets.sps !== this.#sps) {
      this.#sps = parameterSets.sps;
      this.#spsSize = sizesOf(parameterSets.sps);
    }
    // A size that is unknown cannot be checked.
    if (!this.#spsSize) return this.#needKeyFrame(nowMs);
    const { shown: size, coded } = this.#spsSize;
    this.#passKeyFrame({ ...frame, parameterSets, size }, isCodedWithin(coded, this.#limit) ? size : coded, nowMs);
  }

  #foreignFrame(codec: Exclude<VideoCodec, 'h264'>, frame: VideoFrame, streamMs: number, nowMs: number): void {
    const { corrupted, keyFrame, data, width, height } = frame;
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
    else this.#sink.frame(frame, nowMs);
  }

  #pass(frame: InputFrame, nowMs: number): void {
    if (!this.#refused && !this.#closed) this.#sink.frame(frame, nowMs);
  }

  #needKeyFrame(nowMs: number): void {
    if (!this.#closed) this.#sink.keyFrameNeeded(nowMs);
  }
}

function sizesOf(sps: Buffer): { shown: FrameSize; coded: FrameSize } | undefined {
  const info = parseSps(sps);
  return (
    info && {
      shown: { width: info.width, height: info.height },
      coded: { width: info.codedWidth, height: info.codedHeight },
    }
  );
}
