import type { types } from 'mediasoup';
import * as sdpTransform from 'sdp-transform';
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { AudioCodec, VideoCodec } from '../streams/live-stream.ts';
import { AUDIO_CODECS, VIDEO_CODECS } from './codecs.ts';
import { fingerprintsOf } from './fingerprints.ts';
import {
  chooseMedia,
  noCommonCodecs,
  requestLostPackets,
  type MediaOptions,
  type OfferedMedia,
} from './offered-media.ts';
import { IceCredentialsSchema, type IceCredentials } from './sdp-fragment.ts';

/**
 * SDP offers (RFC 8866, RFC 9429) to RTP parameters; `sdp-answer.ts` does the reverse. Pure: no sockets, no mediasoup
 * calls.
 */

/** Chromium's offer with every codec has 7 kB; one with simulcast and a dozen m-lines stays below 30. */
const MAX_SDP_BYTES = 64 * 1024;
const MAX_LINE_LENGTH = 4096;
const MAX_MEDIA_SECTIONS = 32;

/** The codec that is passed through to RTMP comes first; the others must be transcoded. */
const AUDIO_PREFERENCE: readonly AudioCodec[] = ['opus', 'pcmu', 'pcma'];
const VIDEO_PREFERENCE: readonly VideoCodec[] = ['h264', 'vp8', 'vp9', 'av1'];

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
  /**
   * For `transport.connect()`: `role` is the client's. mediasoup compares the certificate with the first fingerprint only.
   */
  readonly dtls: types.DtlsParameters;
  readonly sections: readonly Section[];
  readonly audio?: OfferedMedia<AudioCodec>;
  readonly video?: OfferedMedia<VideoCodec>;
  /** The mid of a data channel's section that was accepted. */
  readonly dataMid?: string;
}

export interface OfferOptions extends MediaOptions {
  /** Codecs that may be chosen, the best first; empty: sections of this kind are rejected. */
  readonly audio?: readonly AudioCodec[];
  readonly video?: readonly VideoCodec[];
  /** Accept a section for data channels (RFC 8841). */
  readonly dataChannel?: boolean;
}

const MidSchema = z.string().regex(/^[\x21-\x7e]{1,32}$/);

type ParsedMedia = sdpTransform.MediaDescription;

const invalid = (what: string): GatewayError =>
  new GatewayError('INVALID_SDP', `The SDP offer cannot be used: ${what}.`);

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
        if (audio?.codec === 'opus' && options.offerer === 'sends') requestLostPackets(audio);
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
        `it has no bundled audio or video section that ${
          options.offerer === 'sends' ? 'sends (a=sendonly or a=sendrecv)' : 'receives (a=recvonly or a=sendrecv)'
        } with rtcp-mux`,
      );
    throw noCommonCodecs('the offer', [...audioCodecs, ...videoCodecs]);
  }
  if (options.offerer === 'sends') checkSources([audio, video]);
  if (options.complete) session.media.forEach((media, index) => checkAccepted(media, sections[index]!));
  return { ...readTransport(sdp, session, transportMedia), sections, audio, video, dataMid };
}

/**
 * Without an SSRC, MID or RID in its packets, a section is known by payload types that no other section has (RFC 8843, 9.2).
 *
 * @throws {GatewayError} INVALID_SDP
 */
function checkSources(offered: readonly (OfferedMedia<unknown> | undefined)[]): void {
  const [one, other] = offered;
  if (!one || !other || (namesSource(one) && namesSource(other))) return;
  const types = new Set(one.rtpParameters.codecs.map(({ payloadType }) => payloadType));
  const shared = other.rtpParameters.codecs.find(({ payloadType }) => types.has(payloadType));
  if (shared)
    throw invalid(
      `its audio and its video have the same payload type, ${shared.payloadType}, so their packets cannot be ` +
        'told apart: give them different ones, name the sources (a=ssrc), or send MID (a=extmap with ' +
        'urn:ietf:params:rtp-hdrext:sdes:mid)',
    );
}

const namesSource = ({ rtpParameters: { encodings = [], headerExtensions = [] } }: OfferedMedia<unknown>): boolean =>
  encodings.some(({ ssrc, rid }) => ssrc !== undefined || rid !== undefined) ||
  headerExtensions.some(({ uri }) => uri === 'urn:ietf:params:rtp-hdrext:sdes:mid');

/** @throws {GatewayError} for a section that would send and was not accepted */
function checkAccepted(media: ParsedMedia, { accepted, type, mid }: Section): void {
  if (accepted || !isOpen(media) || media.direction === 'inactive' || media.direction === 'recvonly') return;
  throw invalid(
    `its ${type} section (mid ${mid}) cannot be taken: one audio and one video section with rtcp-mux, in one ` +
      'BUNDLE group, can be published',
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

/**
 * The sections that can share the one transport: those of the BUNDLE group, or else only the first usable one (RFC
 * 9143).
 */
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

function readTransport(
  sdp: string,
  session: sdpTransform.SessionDescription,
  media: ParsedMedia,
): Pick<Offer, 'ice' | 'dtls'> {
  const ice = IceCredentialsSchema.safeParse({
    usernameFragment: asText(media.iceUfrag ?? session.iceUfrag),
    password: asText(media.icePwd ?? session.icePwd),
  });
  if (!ice.success) throw invalid('a=ice-ufrag or a=ice-pwd is missing or malformed');
  const fingerprints = fingerprintsOf(sdp, session.media.indexOf(media));
  if (fingerprints.length === 0)
    throw invalid('a=fingerprint is missing or malformed, or has an unknown hash function: sha-256 is understood');
  const setup = media.setup ?? (session as { setup?: string }).setup ?? 'actpass';
  const role = REMOTE_ROLES.get(setup);
  if (!role) throw invalid('a=setup is none of actpass, active, passive');
  return {
    ice: ice.data,
    dtls: { role, fingerprints },
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
