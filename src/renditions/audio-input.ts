import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../media/codecs/opus-packet.ts';
import type { AudioCodec, AudioTrack } from '../streams/live-stream.ts';
import type { StreamTime } from './stream-time.ts';
import { TrackInput } from './track-input.ts';

/**
 * How much later the audio that libopus decodes is than its timestamp: the encoder's look-ahead, 312 samples (RFC 7845,
 * 4.2).
 */
const OPUS_LOOKAHEAD_MS = 6.5;

/**
 * How much earlier the audio of a packet was captured than its clock says. A packet is sent when its last sample is
 * captured, and browsers relate the timestamp of its first sample to that moment, in sender reports too.
 */
function captureDelayMs(codec: AudioCodec, payload: Buffer): number {
  return codec === 'opus'
    ? (opusPacketSamples(payload) * 1000) / OPUS_SAMPLE_RATE + OPUS_LOOKAHEAD_MS
    : payload.length / 8;
}

/**
 * Subscribes to the audio track of a publisher.
 *
 * @param take called for each packet in order, with the capture time of its first sample on the stream's clock
 */
export function createAudioInput(
  track: AudioTrack,
  time: StreamTime,
  take: (payload: Buffer, rtpTimestamp: number, streamMs: number) => void,
): Promise<TrackInput> {
  const clock = time.track('audio', track.clockRate);
  return TrackInput.create(track, clock, {
    packet: ({ payload, timestamp }, nowMs) =>
      take(payload, timestamp, time.arrived(clock, timestamp, nowMs) - captureDelayMs(track.codec, payload)),
    lost: () => {}, // the encoder fills the gap that the timestamps show
  });
}
