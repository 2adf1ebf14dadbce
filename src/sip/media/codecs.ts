import type { AudioCodec, VideoCodec } from '../../streams/live-stream.ts';

/** Codecs of calls. The gateway passes media on, so these are the ones that the rest of it can read. */

export type CallVideoCodec = Extract<VideoCodec, 'h264' | 'vp8'>;

export interface CodecFormat<Name extends AudioCodec | CallVideoCodec = AudioCodec | CallVideoCodec> {
  readonly name: Name;
  readonly payloadType: number;
  readonly clockRate: number;
  /** As in SDP. */
  readonly encoding: string;
  readonly channels: 1 | 2;
  /** H.264: `packetization-mode`. */
  readonly mode?: 0 | 1;
  /** As in SDP. */
  readonly fmtp: string;
}

/** The values of the setting `codecs`. */
export const CODEC_NAMES = ['opus', 'alaw', 'ulaw', 'telephone-event', 'vp8', 'h264'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

export const TELEPHONE_EVENT = { 8000: 101, 48000: 102 } as const;

const format = <Name extends AudioCodec | CallVideoCodec>(
  name: Name,
  payloadType: number,
  encoding: string,
  clockRate: number,
  more: Partial<CodecFormat<Name>> = {},
): CodecFormat<Name> => ({ name, payloadType, encoding, clockRate, channels: 1, fmtp: '', ...more });

export const AUDIO_FORMATS: Readonly<Partial<Record<CodecName, CodecFormat<AudioCodec>>>> = {
  opus: format('opus', 96, 'opus', 48_000, { channels: 2 }),
  alaw: format('pcma', 8, 'PCMA', 8000),
  ulaw: format('pcmu', 0, 'PCMU', 8000),
};

const H264_FMTP = 'profile-level-id=42e01f;packetization-mode=';
export const VIDEO_FORMATS: Readonly<Partial<Record<CodecName, readonly CodecFormat<CallVideoCodec>[]>>> = {
  h264: [
    format('h264', 97, 'H264', 90_000, { mode: 1, fmtp: `${H264_FMTP}1` }),
    format('h264', 98, 'H264', 90_000, { mode: 0, fmtp: `${H264_FMTP}0` }),
  ],
  vp8: [format('vp8', 99, 'VP8', 90_000)],
};

/** Types that need no `rtpmap` (RFC 3551, 6). */
export const STATIC_TYPES: ReadonlyMap<number, { readonly encoding: string; readonly clockRate: number }> = new Map([
  [0, { encoding: 'PCMU', clockRate: 8000 }],
  [8, { encoding: 'PCMA', clockRate: 8000 }],
]);
