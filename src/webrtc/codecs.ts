import type { types } from 'mediasoup';
import type { AudioCodec, VideoCodec } from '../streams/live-stream.ts';

/** Codec names of this project by the MIME subtype of SDP and mediasoup, in lower case. */
export const AUDIO_CODECS: ReadonlyMap<string, AudioCodec> = new Map([
  ['opus', 'opus'],
  ['pcmu', 'pcmu'],
  ['pcma', 'pcma'],
]);
export const VIDEO_CODECS: ReadonlyMap<string, VideoCodec> = new Map([
  ['h264', 'h264'],
  ['vp8', 'vp8'],
  ['vp9', 'vp9'],
  ['av1', 'av1'],
]);

/**
 * H.264 profiles that a publisher may send, as `profile_idc` and constraint flags of RFC 6184, 8.1; mediasoup compares
 * the profile and ignores the level. Baseline, constrained baseline, main, high, constrained high: all RTMP platforms
 * accept them. Chromium prefers 42001f, Firefox and Safari 42e01f, ffmpeg's WHIP muxer 42000d.
 */
const H264_PROFILES = ['42001f', '42e01f', '4d001f', '64001f', '640c1f'] as const;

/** The default of `profile-level-id` (RFC 6184, 8.1): baseline. */
export const DEFAULT_H264_PROFILE = '42001f';

/** The codecs of every ingest router. mediasoup maps the publishers' payload types to its own. */
export const INGEST_CODECS: types.RouterRtpCodecCapability[] = [
  { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2 },
  { kind: 'audio', mimeType: 'audio/PCMU', clockRate: 8000, preferredPayloadType: 0 },
  { kind: 'audio', mimeType: 'audio/PCMA', clockRate: 8000, preferredPayloadType: 8 },
  ...H264_PROFILES.map((profile) => ({
    kind: 'video' as const,
    mimeType: 'video/H264',
    clockRate: 90000,
    parameters: { 'packetization-mode': 1, 'level-asymmetry-allowed': 1, 'profile-level-id': profile },
  })),
  { kind: 'video', mimeType: 'video/VP8', clockRate: 90000 },
  { kind: 'video', mimeType: 'video/VP9', clockRate: 90000, parameters: { 'profile-id': 0 } },
  { kind: 'video', mimeType: 'video/VP9', clockRate: 90000, parameters: { 'profile-id': 2 } },
  { kind: 'video', mimeType: 'video/AV1', clockRate: 90000 },
];

/** The first two hexadecimal digits decide the profile; the constraint flags do not matter here. */
export function isPassableH264Profile(profileLevelId: string): boolean {
  // profile_idc 42 baseline, 4d main, 64 high. RTMP platforms accept neither 4:4:4 nor 10 bit (f4, 6e, 7a).
  return /^(42|4d|64)[0-9a-f]{4,5}$/i.test(profileLevelId);
}

/** The values that mediasoup can parse: profile and constraint flags of its table, and an existing level. */
const PARSEABLE_PROFILE = /^(42[0-9a-f]0|4d[0145]0|4d[89a-f]0|64(00|0c))(0[a-d]|1[456ef]|2[089a]|3[234])$/i;

/**
 * The profile under which the router carries a stream. The router only forwards packets, so a profile that mediasoup
 * cannot parse is replaced: ffmpeg's WHIP muxer writes three digits of constraint flags (`422001f`), and some encoders
 * write levels that do not exist.
 */
export function routableProfile(profileLevelId: string): string {
  return PARSEABLE_PROFILE.test(profileLevelId) ? profileLevelId : `${profileLevelId.slice(0, 2).toLowerCase()}001f`;
}
