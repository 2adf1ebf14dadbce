import type { types } from 'mediasoup';
import * as sdpTransform from 'sdp-transform';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { AudioCodec, VideoCodec } from '../streams/live-stream.ts';
import { AUDIO_CODECS, DEFAULT_H264_PROFILE, isPassableH264Profile, VIDEO_CODECS } from './codecs.ts';
import { IceCredentialsSchema, type IceCredentials } from './sdp-fragment.ts';
import { offeredLayers, RID_EXTENSIONS } from './simulcast.ts';

/**
 * SDP offers (RFC 8866, RFC 9429) to RTP parameters; `sdp-answer.ts` does the reverse. Pure: no sockets, no mediasoup calls.
 */

/** Chromium's offer with every codec has 7 kB; one with simulcast and a dozen m-lines stays below 30. */
const MAX_SDP_BYTES = 64 * 1024;
const MAX_LINE_LENGTH = 4096;
const MAX_MEDIA_SECTIONS = 32;

/**
 * The header extensions that are negotiated. Not `urn:3gpp:video-orientation`: RTMP cannot carry it, and without it the browser rotates the
 * pixels itself.
 */
const HEADER_EXTENSIONS: ReadonlySet<string> = new Set(['urn:ietf:params:rtp-hdrext:sdes:mid']);
const FEEDBACK: ReadonlySet<string> = new Set(['nack', 'nack pli', 'ccm fir']);
/** Needed for transport-cc feedback, where the worker sends it. */
const CONGESTION_EXTENSIONS: ReadonlySet<string> = new Set([
  'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
  'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
]);
const CONGESTION_FEEDBACK: ReadonlySet<string> = new Set(['transport-cc', 'goog-remb']);

/** The codec that is passed through to RTMP comes first; the others must be transcoded. */
export const AUDIO_PREFERENCE: readonly AudioCodec[] = ['opus', 'pcmu', 'pcma'];
export const VIDEO_PREFERENCE: readonly VideoCodec[] = ['h264', 'vp8', 'vp9', 'av1'];

export interface OfferedMedia<Codec> {
  readonly mid: string;
  readonly codec: Codec;
  readonly clockRate: number;
  /** With the offer's payload types and header extension ids; valid for `transport.produce()`. */
  readonly rtpParameters: types.RtpParameters;
}

/** One m-line of the offer, in its order; the answer must have the same. */
export interface Section {
  readonly mid: string;
  readonly type: string;
  readonly protocol: string;
  readonly formats: string;
  readonly accepted: boolean;
}

export interface Offer {
  /** The client's. An ICE-lite server sends no checks, but uses them to tell trickled fragments apart. */
  readonly ice: IceCredentials;
  /** For `transport.connect()`: `role` is the client's. */
  readonly dtls: types.DtlsParameters;
  readonly sections: readonly Section[];
  readonly audio?: OfferedMedia<AudioCodec>;
  readonly video?: OfferedMedia<VideoCodec>;
  /** The mid of a data channel's section that was accepted. */
  readonly dataMid?: string;
}

export interface OfferOptions {
  /** A publisher sends, a player receives. */
  readonly offerer: 'sends' | 'receives';
  /** Codecs that may be chosen, the best first; empty: sections of this kind are rejected. */
  readonly audio?: readonly AudioCodec[];
  readonly video?: readonly VideoCodec[];
  /**
   * Negotiate feedback for congestion control. Only where it will be sent: a browser that was promised feedback and receives none
   * lowers its bitrate by a fifth every second.
   */
  readonly congestionFeedback: boolean;
  /** Refuse an offer of which a part would be rejected, instead of accepting the other parts (RFC 9725, 4.4.3). */
  readonly complete?: boolean;
  /** Accept a section for data channels (RFC 8841). */
  readonly dataChannel?: boolean;
}

const FingerprintSchema = z.object({
  type: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['sha-1', 'sha-224', 'sha-256', 'sha-384', 'sha-512'])),
  hash: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){19,63}$/i),
});
const PayloadType = z.number().int().min(0).max(127);
const RtpMapSchema = z.object({
  payload: PayloadType,
  codec: z.string().max(64),
  rate: z.number().int().positive(),
  encoding: z.coerce.number().int().optional(),
});
const MidSchema = z.string().regex(/^[\x21-\x7e]{1,32}$/);
const Ssrc = z.coerce.number().int().min(1).max(0xffffffff);

type ParsedMedia = sdpTransform.MediaDescription;

const invalid = (what: string): GatewayError =>
  new GatewayError('INVALID_SDP', `The SDP offer cannot be used: ${what}.`);
const noCommonCodecs = (who: string, codecs: readonly string[]): GatewayError =>
  new GatewayError(
    'NO_COMMON_CODECS',
    `No common codecs: ${who} has none of ${codecs.join(', ')} (H.264: baseline, main or high, players with packetization-mode=1; opus/48000/2).`,
  );

/**
 * Reads an offer and chooses one codec for audio and one for video.
 *
 * @throws {GatewayError} INVALID_SDP that names the mistake; NO_COMMON_CODECS when no section has a usable codec
 */
export function parseOffer(sdp: string, options: OfferOptions): Offer {
  checkText(sdp);
  const session = sdpTransform.parse(sdp);
  if (session.media.length === 0) throw invalid('it has no media section (m=)');
  if (session.media.length > MAX_MEDIA_SECTIONS)
    throw invalid(`it has ${session.media.length} media sections, more than ${MAX_MEDIA_SECTIONS}`);

  const mids = session.media.map((media, index) => readMid(media, index));
  if (new Set(mids).size !== mids.length) throw invalid('two media sections have the same a=mid');
  const bundled = bundledMids(session, mids);

  const audioCodecs = options.audio ?? AUDIO_PREFERENCE;
  const videoCodecs = options.video ?? VIDEO_PREFERENCE;
  let audio: OfferedMedia<AudioCodec> | undefined;
  let video: OfferedMedia<VideoCodec> | undefined;
  let dataMid: string | undefined;
  let wanted = 0;
  let transportMedia: ParsedMedia | undefined;
  const sections: Section[] = session.media.map((media, index) => {
    const mid = mids[index]!;
    let accepted = false;
    if (isUsable(media, options.offerer) && bundled.has(mid)) {
      if (media.type === 'audio' && !audio && audioCodecs.length > 0) {
        wanted++;
        audio = chooseMedia(media, mid, AUDIO_CODECS, audioCodecs, options);
        if (audio?.codec === 'opus' && options.offerer === 'sends') askForLost(audio);
        accepted = audio !== undefined;
      } else if (media.type === 'video' && !video && videoCodecs.length > 0) {
        wanted++;
        video = chooseMedia(media, mid, VIDEO_CODECS, videoCodecs, options);
        accepted = video !== undefined;
      }
    } else if (options.dataChannel && dataMid === undefined && isDataChannel(media) && bundled.has(mid)) {
      dataMid = mid;
      return { mid, type: media.type, protocol: media.protocol, formats: media.payloads ?? '', accepted: true };
    }
    if (accepted) transportMedia ??= media;
    return { mid, type: media.type, protocol: media.protocol, formats: String(media.payloads ?? '0'), accepted };
  });
  if (!transportMedia) {
    if (wanted === 0)
      throw invalid(
        `it has no bundled audio or video section that ${options.offerer === 'sends' ? 'sends (a=sendonly or a=sendrecv)' : 'receives (a=recvonly or a=sendrecv)'} with rtcp-mux`,
      );
    throw noCommonCodecs('the offer', [...audioCodecs, ...videoCodecs]);
  }
  if (options.complete) session.media.forEach((media, index) => checkAccepted(media, sections[index]!));
  return { ...readTransport(session, transportMedia), sections, audio, video, dataMid };
}

/** @throws {GatewayError} for a section that would send and was not accepted */
function checkAccepted(media: ParsedMedia, { accepted, type, mid }: Section): void {
  if (accepted || !isOpen(media) || media.direction === 'inactive' || media.direction === 'recvonly') return;
  throw invalid(
    `its ${type} section (mid ${mid}) cannot be taken: one audio and one video section with rtcp-mux, in one BUNDLE group, can be published`,
  );
}

/** SCTP over DTLS as all browsers offer it since 2019; the older `m=application 9 DTLS/SCTP 5000` is rejected. */
function isDataChannel(media: ParsedMedia): boolean {
  return (
    media.type === 'application' &&
    /^(UDP|TCP)\/DTLS\/SCTP$/.test(media.protocol) &&
    media.payloads === 'webrtc-datachannel' &&
    isOpen(media)
  );
}

function checkText(sdp: string): void {
  if (sdp.length > MAX_SDP_BYTES) throw invalid(`it has ${sdp.length} characters, more than ${MAX_SDP_BYTES}`);
  if (!sdp.startsWith('v=0')) throw invalid('it does not begin with v=0');
  // eslint-disable-next-line no-control-regex -- control characters would come back in the answer
  if (/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f]/.test(sdp)) throw invalid('it contains control characters');
  if (sdp.split('\n').some((line) => line.length > MAX_LINE_LENGTH))
    throw invalid(`it has a line of more than ${MAX_LINE_LENGTH} characters`);
}

function readMid(media: ParsedMedia, index: number): string {
  // Before BUNDLE, offers had no mid; an answer then names the section by its position.
  const mid = MidSchema.safeParse(media.mid === undefined ? String(index) : String(media.mid));
  if (!mid.success) throw invalid(`media section ${index} has an unusable a=mid`);
  return mid.data;
}

/** The sections that can share the one transport: those of the BUNDLE group, or else only the first usable one (RFC 9143). */
function bundledMids(session: sdpTransform.SessionDescription, mids: readonly string[]): ReadonlySet<string> {
  const group = session.groups?.find((candidate) => candidate.type === 'BUNDLE');
  if (group) return new Set(String(group.mids).split(/\s+/));
  const first = session.media.findIndex((media) => media.type === 'audio' || media.type === 'video');
  return new Set(first < 0 ? [] : [mids[first]!]);
}

function isUsable(media: ParsedMedia, offerer: OfferOptions['offerer']): boolean {
  const direction = media.direction ?? 'sendrecv';
  const wanted =
    offerer === 'sends'
      ? direction === 'sendonly' || direction === 'sendrecv'
      : direction === 'recvonly' || direction === 'sendrecv';
  return (
    wanted &&
    isOpen(media) &&
    media.rtcpMux !== undefined &&
    /^(UDP|TCP)\/(D?TLS)\/RTP\/SAVPF?$|^RTP\/SAVPF$/.test(media.protocol)
  );
}

/** Port 0 rejects a section, unless `a=bundle-only` says that it exists only within the bundle. */
function isOpen(media: ParsedMedia): boolean {
  return media.port !== 0 || (media as { bundleOnly?: unknown }).bundleOnly !== undefined;
}

function readTransport(session: sdpTransform.SessionDescription, media: ParsedMedia): Pick<Offer, 'ice' | 'dtls'> {
  const ice = IceCredentialsSchema.safeParse({
    usernameFragment: asText(media.iceUfrag ?? session.iceUfrag),
    password: asText(media.icePwd ?? session.icePwd),
  });
  if (!ice.success) throw invalid('a=ice-ufrag or a=ice-pwd is missing or malformed');
  const fingerprint = FingerprintSchema.safeParse(media.fingerprint ?? session.fingerprint);
  if (!fingerprint.success) throw invalid('a=fingerprint is missing or malformed');
  const setup = media.setup ?? (session as { setup?: string }).setup ?? 'actpass';
  const role = REMOTE_ROLES.get(setup);
  if (!role) throw invalid('a=setup is none of actpass, active, passive');
  return {
    ice: ice.data,
    dtls: {
      role,
      fingerprints: [{ algorithm: fingerprint.data.type, value: fingerprint.data.hash.toUpperCase() }],
    },
  };
}

/** From `a=setup`. With `actpass` the answerer opens the connection, which saves half a round trip (RFC 8842, 5.3). */
const REMOTE_ROLES: ReadonlyMap<string, types.DtlsRole> = new Map([
  ['actpass', 'server'],
  ['passive', 'server'],
  ['active', 'client'],
]);

/** sdp-transform converts values that look like numbers. */
const asText = (value: unknown): unknown => (typeof value === 'number' ? String(value) : value);

function chooseMedia<Codec extends AudioCodec | VideoCodec>(
  media: ParsedMedia,
  mid: string,
  names: ReadonlyMap<string, Codec>,
  preference: readonly Codec[],
  { congestionFeedback, offerer, complete }: OfferOptions,
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
 * Requests retransmission of lost audio packets. Chromium does not offer it, and an answer should only contain what was offered (RFC 4585, 4.2), but
 * Chromium retransmits when the answer asks for it. FFmpeg's WHIP muxer and libdatachannel ignore the line.
 */
function askForLost({ rtpParameters: { codecs } }: OfferedMedia<AudioCodec>): void {
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
  media: ParsedMedia,
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
function formatParameters(media: ParsedMedia, payloadType: number): Record<string, string | number> {
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

function feedback(media: ParsedMedia, payloadType: number, congestionFeedback: boolean): types.RtcpFeedback[] {
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

function isPassable(offered: OfferedCodec<AudioCodec | VideoCodec>, offerer: OfferOptions['offerer']): boolean {
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

/** Browsers send VP8 layers with up to three temporal layers; where these are not declared, mediasoup forwards every fourth frame. */
const LAYER_MODE = 'L1T3';
/** The codecs that mediasoup accepts as simulcast. Of the others only the first layer is accepted. */
const LAYERED_CODECS = /^video\/(H264|VP8)$/i;

function toRtpParameters(
  media: ParsedMedia,
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

/** The RTX payload type of this one (RFC 4588). mediasoup needs it to request lost packets without duplicate sequence numbers. */
function retransmission(media: ParsedMedia, payloadType: number): types.RtpCodecParameters | undefined {
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

/** One encoding: the first SSRC with its retransmissions. Without an SSRC, as in offers with simulcast, packets are identified by mid. */
function encoding(media: ParsedMedia, withRetransmission: boolean): types.RtpEncodingParameters {
  const ssrc = Ssrc.safeParse(media.ssrcs?.[0]?.id);
  if (!ssrc.success) return {};
  const pair = media.ssrcGroups?.find(
    (group) => group.semantics === 'FID' && Number(String(group.ssrcs).split(' ')[0]) === ssrc.data,
  );
  const repair = Ssrc.safeParse(String(pair?.ssrcs ?? '').split(' ')[1]);
  return withRetransmission && repair.success ? { ssrc: ssrc.data, rtx: { ssrc: repair.data } } : { ssrc: ssrc.data };
}

function cname(media: ParsedMedia): string {
  const value = media.ssrcs?.find((ssrc) => ssrc.attribute === 'cname')?.value;
  return value === undefined ? 'publisher' : String(value).slice(0, 255);
}
