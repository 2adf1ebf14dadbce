import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../media/codecs/opus-packet.ts';
import type { AudioCodec, AudioTrack } from '../streams/live-stream.ts';
import { tickMs } from '../runtime/tick.ts';
import type { StreamTime } from './stream-time.ts';
import { TrackInput } from './track-input.ts';

/**
 * How much later the audio that libopus decodes is than its timestamp: the encoder's look-ahead, 312 samples (RFC 7845,
 * 4.2).
 */
const OPUS_LOOKAHEAD_MS = 6.5;
/**
 * Browsers relate the timestamp of a packet's first sample to the moment when its last one is captured and it is sent,
 * in sender reports too; others relate it to its own moment (RFC 3550). Nothing tells them apart, so no more is assumed.
 */
const MAX_CAPTURE_DELAY_MS = 20;

/** Milliseconds of audio in a packet. */
const lengthMs = (codec: AudioCodec, payload: Buffer): number =>
  codec === 'opus' ? (opusPacketSamples(payload) * 1000) / OPUS_SAMPLE_RATE : payload.length / 8;

/**
 * Subscribes to the audio track of a publisher.
 *
 * @param take called for each packet in order, with the capture time of its first sample on the stream's clock
 * @param now the monotonic clock, in milliseconds
 */
export function createAudioInput(
  track: AudioTrack,
  time: StreamTime,
  take: (payload: Buffer, rtpTimestamp: number, streamMs: number) => void,
  now: () => number = tickMs,
): Promise<TrackInput> {
  const { codec } = track;
  const clock = time.track('audio', track.clockRate);
  // One value for the track: another one for each length of packets would make holes.
  let captureDelayMs: number | undefined;
  return TrackInput.create(
    track,
    clock,
    {
      details: ({ payload }) => ({ lengthMs: lengthMs(codec, payload) }),
      packet: ({ payload, timestamp }, nowMs) => {
        const packetMs = lengthMs(codec, payload);
        captureDelayMs ??= Math.min(packetMs + (codec === 'opus' ? OPUS_LOOKAHEAD_MS : 0), MAX_CAPTURE_DELAY_MS);
        take(payload, timestamp, time.arrived(clock, timestamp, nowMs, packetMs) - captureDelayMs);
      },
      lost: () => {}, // the encoder fills the gap that the timestamps show
    },
    now,
  );
}
