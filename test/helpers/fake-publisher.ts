import { EventEmitter } from 'node:events';
import type { AudioCodec, Publisher, TrackSubscription, VideoCodec } from '../../src/streams/live-stream.ts';

/** A subscription to one track, whose packets the test makes. */
export class FakeSubscription extends EventEmitter {
  readonly roundTripMs = 20;
  #sequence = 0;
  keyFramesRequested = 0;
  closed = false;
  /** Called for each request of a key frame. */
  onKeyFrameRequest = (): void => {};

  requestKeyFrame(): void {
    this.keyFramesRequested++;
    this.onKeyFrameRequest();
  }

  close(): void {
    this.closed = true;
  }

  packet(rtpTimestamp: number, payload: Buffer, marker = true): void {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = (marker ? 0x80 : 0) | 96;
    header.writeUInt16BE(this.#sequence++ & 0xffff, 2);
    header.writeUInt32BE(rtpTimestamp >>> 0, 4);
    header.writeUInt32BE(1, 8);
    this.emit('rtp', Buffer.concat([header, payload]));
  }

  /** Skips a packet, which never arrives. */
  lose(): void {
    this.#sequence++;
  }

  report(captureMs: number, clockRate: number): void {
    this.emit('senderReport', { ntpMs: 3.9e12 + captureMs, rtpTimestamp: (captureMs * clockRate) / 1000 });
  }
}

/** What a track's `subscribe` answers: a subscription, or a failure. */
export type Subscribe = () => Promise<unknown>;

const asSubscribe = (track: FakeSubscription | Subscribe) => () =>
  (typeof track === 'function' ? track() : Promise.resolve(track)) as Promise<TrackSubscription>;

/** A publisher whose tracks the test feeds. */
export function fakePublisher({
  video,
  videoCodec = 'h264',
  audio,
  audioCodec = 'opus',
}: {
  video?: FakeSubscription | Subscribe;
  videoCodec?: VideoCodec;
  audio?: FakeSubscription | Subscribe;
  audioCodec?: AudioCodec;
}): Publisher {
  return {
    id: 'publisher',
    ...(video && { video: { kind: 'video', codec: videoCodec, clockRate: 90_000, subscribe: asSubscribe(video) } }),
    ...(audio && {
      audio: {
        kind: 'audio',
        codec: audioCodec,
        clockRate: audioCodec === 'opus' ? 48_000 : 8000,
        subscribe: asSubscribe(audio),
      },
    }),
    close() {},
  };
}

/** Parameter sets of H.264, 1920x1080. */
export const H264_PARAMETER_SETS = ['6742c01fda01e0089f961000000300100000030320f1832a', '68ce3c80'].map((hex) =>
  Buffer.from(hex, 'hex'),
);
/** The payloads of single packets: the slices look like some only to a depacketizer. */
export const H264_KEY_FRAME = Buffer.concat([Buffer.of(0x65, 0x88), Buffer.alloc(300, 0x55)]);
export const H264_FRAME = Buffer.concat([Buffer.of(0x41, 0x9a), Buffer.alloc(100, 0x55)]);

/** The payload of one packet with a VP8 key frame that claims this size. */
export function vp8KeyFrame(width: number, height: number): Buffer {
  const payload = Buffer.alloc(100);
  payload[0] = 0x10; // descriptor: start of partition 0
  payload.writeUIntBE(0x9d012a, 4, 3);
  payload.writeUInt16LE(width, 7);
  payload.writeUInt16LE(height, 9);
  return payload;
}

/** The payload of one packet with another VP8 frame. */
export const VP8_FRAME = Buffer.concat([Buffer.of(0x10, 0x01), Buffer.alloc(50)]);
