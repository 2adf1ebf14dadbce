import type { types } from 'mediasoup';
import type { MediaDescription } from 'sdp-transform';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { AudioCodec, VideoCodec } from '../streams/live-stream.ts';
import { DEFAULT_H264_PROFILE, isPassableH264Profile } from './codecs.ts';
import { offeredLayers, RID_EXTENSIONS } from './simulcast.ts';

/** The codecs of one media section of an offer: chooses one and translates it to RTP parameters. Pure. */

/**
 * The header extensions that are negotiated. Not `urn:3gpp:video-orientation`: RTMP cannot carry it, and without it the
 * browser rotates the pixels itself.
 */
const HEADER_EXTENSIONS: ReadonlySet<string> = new Set(['urn:ietf:params:rtp-hdrext:sdes:mid']);
const FEEDBACK: ReadonlySet<string> = new Set(['nack', 'nack pli', 'ccm fir']);
/** Needed for transport-cc feedback, where the worker sends it. */
const CONGESTION_EXTENSIONS: ReadonlySet<string> = new Set([
  'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
]);
const CONGESTION_FEEDBACK: ReadonlySet<string> = new Set(['transport-cc', 'goog-remb']);

export interface OfferedMedia<Codec> {
  readonly mid: string;
  readonly codec: Codec;
  readonly clockRate: number;
  /** With the offer's payload types and header extension ids; valid for `transport.produce()`. */
  readonly rtpParameters: types.RtpParameters;
}
export interface MediaOptions {
  /** A publisher sends, a player receives. */
  readonly offerer: 'sends' | 'receives';
  /**
   * Negotiate feedback for congestion control. Only where it will be sent: a browser that was promised feedback and
   * receives none lowers its bitrate by a fifth every second.
   */
  readonly congestionFeedback: boolean;
  /** Refuse an offer of which a part would be rejected, instead of accepting the other parts (RFC 9725, 4.4.3). */
  readonly complete?: boolean;
}

const PayloadType = z.number().int().min(0).max(127);
const RtpMapSchema = z.object({
  payload: PayloadType,
  codec: z.string().max(64),
  rate: z.number().int().positive(),
  encoding: z.coerce.number().int().optional(),
});
const Ssrc = z.coerce.number().int().min(1).max(0xffffffff);

export const noCommonCodecs = (who: string, codecs: readonly string[]): GatewayError =>
  new GatewayError(
    'NO_COMMON_CODECS',
    `No common codecs: ${who} has none of ${codecs.join(', ')} (H.264: baseline, main or high, players with ` +
      'packetization-mode=1; opus/48000/2).',
  );

/** @throws {GatewayError} NO_COMMON_CODECS if `complete` is set and the section has none of the codecs */
export function chooseMedia<Codec extends AudioCodec | VideoCodec>(
  media: MediaDescription,
  mid: string,
  names: ReadonlyMap<string, Codec>,
  preference: readonly Codec[],
  { congestionFeedback, offerer, complete }: MediaOptions,
): OfferedMedia<Codec> | undefined {
  const offered = offeredCodecs(media, names, congestionFeedback);
  for (const codec of preference) {
    const passable = offered.filter((candidate) => candidate.codec === codec && isPassable(candidate, offerer));
    // Browsers offer H.264 twice; some encoders offer only packetization mode 0.
    const found = passable.find((candidate) => packetizationMode(candidate) === 1) ?? passable[0];
    if (found)
      return {
        mid,
        codec,
        clockRate: found.parameters.clockRate,
        rtpParameters: toRtpParameters(media, mid, found.parameters, congestionFeedback),
      };
  }
  if (complete) throw noCommonCodecs(`the ${media.type} section (mid ${mid})`, preference);
  return undefined;
}

/**
 * Requests retransmission of lost audio packets. Chromium does not offer it, and an answer should only contain what was
 * offered (RFC 4585, 4.2), but Chromium retransmits when the answer asks for it. FFmpeg's WHIP muxer and libdatachannel
 * ignore the line.
 */
export function requestLostPackets({ rtpParameters: { codecs } }: OfferedMedia<AudioCodec>): void {
  const feedback = (codecs[0]!.rtcpFeedback ??= []);
  if (!feedback.some(({ type }) => type === 'nack')) feedback.push({ type: 'nack', parameter: '' });
}

interface OfferedCodec<Codec> {
  readonly codec: Codec;
  readonly parameters: types.RtpCodecParameters;
}

/** PCMU and PCMA need no rtpmap (RFC 3551, 6). */
const STATIC_PAYLOADS = [
  { payload: 0, codec: 'PCMU', rate: 8000 },
  { payload: 8, codec: 'PCMA', rate: 8000 },
];

/** In the order of the m-line: the offerer's preference. */
function offeredCodecs<Codec>(
  media: MediaDescription,
  names: ReadonlyMap<string, Codec>,
  congestionFeedback: boolean,
): OfferedCodec<Codec>[] {
  const payloads = String(media.payloads ?? '')
    .split(/\s+/)
    .map(Number);
  const kind = media.type === 'audio' ? 'audio' : 'video';
  return payloads.flatMap((payloadType) => {
    const line =
      media.rtp.find((rtp) => rtp.payload === payloadType) ??
      STATIC_PAYLOADS.find((rtp) => rtp.payload === payloadType && kind === 'audio');
    const rtp = RtpMapSchema.safeParse(line);
    const codec = rtp.success ? names.get(rtp.data.codec.toLowerCase()) : undefined;
    if (!rtp.success || codec === undefined) return [];
    const parameters: types.RtpCodecParameters = {
      mimeType: `${kind}/${rtp.data.codec}`,
      payloadType,
      clockRate: rtp.data.rate,
      ...(kind === 'audio' && { channels: rtp.data.encoding ?? 1 }),
      parameters: formatParameters(media, payloadType),
      rtcpFeedback: feedback(media, payloadType, congestionFeedback),
    };
    return [{ codec, parameters }];
  });
}

/** The parameters of an `a=fmtp` line, as numbers where they are numbers; except H.264's `profile-level-id`. */
function formatParameters(media: MediaDescription, payloadType: number): Record<string, string | number> {
  const config = media.fmtp.find((fmtp) => fmtp.payload === payloadType)?.config ?? '';
  const parameters: Record<string, string | number> = {};
  for (const part of String(config).split(';')) {
    const equals = part.indexOf('=');
    if (equals < 1) continue;
    const key = part.slice(0, equals).trim().toLowerCase();
    const value = part.slice(equals + 1).trim();
    parameters[key] = key !== 'profile-level-id' && /^\d{1,9}$/.test(value) ? Number(value) : value;
  }
  return parameters;
}

function feedback(media: MediaDescription, payloadType: number, congestionFeedback: boolean): types.RtcpFeedback[] {
  return (media.rtcpFb ?? [])
    .filter((line) => line.payload === payloadType || String(line.payload) === '*')
    .filter(
      ({ type, subtype }) =>
        FEEDBACK.has(subtype ? `${type} ${subtype}` : type) || (congestionFeedback && CONGESTION_FEEDBACK.has(type)),
    )
    .map((line) => ({ type: line.type, parameter: line.subtype ?? '' }));
}

/** The H.264 profile (RFC 6184, 8.1). */
const packetizationMode = ({ parameters }: OfferedCodec<unknown>): number =>
  Number((parameters.parameters as Record<string, string | number>)['packetization-mode'] ?? 0);

function isPassable(offered: OfferedCodec<AudioCodec | VideoCodec>, offerer: MediaOptions['offerer']): boolean {
  const { codec, parameters } = offered;
  const format = parameters.parameters as Record<string, string | number>;
  if (codec === 'h264') {
    // A publisher may promise to send no fragments; a player would have to accept them.
    const mode = packetizationMode(offered);
    return (
      (mode === 1 || (mode === 0 && offerer === 'sends')) &&
      isPassableH264Profile(String(format['profile-level-id'] ?? DEFAULT_H264_PROFILE))
    );
  }
  if (codec === 'opus') return parameters.clockRate === 48000 && parameters.channels === 2;
  if (codec === 'pcmu' || codec === 'pcma') return parameters.clockRate === 8000 && parameters.channels === 1;
  if (codec === 'vp9') return (format['profile-id'] ?? 0) === 0 || format['profile-id'] === 2;
  return parameters.clockRate === 90000;
}

/**
 * Browsers send VP8 layers with up to three temporal layers; where these are not declared, mediasoup forwards every
 * fourth frame.
 */
const LAYER_MODE = 'L1T3';
/** The codecs that mediasoup accepts as simulcast. Of the others only the first layer is accepted. */
const LAYERED_CODECS = /^video\/(H264|VP8)$/i;

function toRtpParameters(
  media: MediaDescription,
  mid: string,
  codec: types.RtpCodecParameters,
  congestionFeedback: boolean,
): types.RtpParameters {
  const rtx = retransmission(media, codec.payloadType);
  const layers = LAYERED_CODECS.test(codec.mimeType) ? offeredLayers(media) : [];
  const headerExtensions = (media.ext ?? [])
    .filter(
      (ext) =>
        HEADER_EXTENSIONS.has(ext.uri) ||
        (layers.length > 0 && RID_EXTENSIONS.has(ext.uri)) ||
        (congestionFeedback && CONGESTION_EXTENSIONS.has(ext.uri)),
    )
    .filter((ext) => Number.isInteger(ext.value) && ext.value >= 1 && ext.value <= 255)
    .map((ext) => ({ uri: ext.uri as types.RtpHeaderExtensionUri, id: ext.value }));
  return {
    mid,
    codecs: rtx ? [codec, rtx] : [codec],
    headerExtensions,
    encodings:
      layers.length > 0
        ? layers.map((rid) => ({ rid, scalabilityMode: LAYER_MODE }))
        : [encoding(media, rtx !== undefined)],
    rtcp: { cname: cname(media), reducedSize: media.rtcpRsize !== undefined },
  };
}

/**
 * The RTX payload type of this one (RFC 4588). mediasoup needs it to request lost packets without duplicate sequence
 * numbers.
 */
function retransmission(media: MediaDescription, payloadType: number): types.RtpCodecParameters | undefined {
  const line = media.rtp.find(
    (rtp) => String(rtp.codec).toLowerCase() === 'rtx' && formatParameters(media, rtp.payload)['apt'] === payloadType,
  );
  const rtp = RtpMapSchema.safeParse(line);
  if (!rtp.success) return undefined;
  return {
    mimeType: 'video/rtx',
    payloadType: rtp.data.payload,
    clockRate: rtp.data.rate,
    parameters: { apt: payloadType },
    rtcpFeedback: [],
  };
}

/**
 * One encoding: the first SSRC with its retransmissions. Without an SSRC, as in offers with simulcast, packets are
 * identified by mid.
 */
function encoding(media: MediaDescription, withRetransmission: boolean): types.RtpEncodingParameters {
  const ssrc = Ssrc.safeParse(media.ssrcs?.[0]?.id);
  if (!ssrc.success) return {};
  const pair = media.ssrcGroups?.find(
    (group) => group.semantics === 'FID' && Number(String(group.ssrcs).split(' ')[0]) === ssrc.data,
  );
  const repair = Ssrc.safeParse(String(pair?.ssrcs ?? '').split(' ')[1]);
  return withRetransmission && repair.success ? { ssrc: ssrc.data, rtx: { ssrc: repair.data } } : { ssrc: ssrc.data };
}

function cname(media: MediaDescription): string {
  const value = media.ssrcs?.find((ssrc) => ssrc.attribute === 'cname')?.value;
  return value === undefined ? 'publisher' : String(value).slice(0, 255);
}
