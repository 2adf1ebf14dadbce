import type { types } from 'mediasoup';
import type { Offer, Section } from './sdp.ts';
import { layerLines } from './simulcast.ts';

/**
 * RTP and transport parameters to SDP answers (RFC 9429, 5.3). Pure.
 */

/**
 * Kilobits per second. Chromium starts at 300 by default and then sends 720p as 640x360 for the first seconds; with
 * this it starts at 960x540 or at full size. On a slower line the adaptation takes a second.
 */
export const VIDEO_START_BITRATE = 1500;

/** The gateway's end of the transport, as created by mediasoup. */
export interface LocalTransport {
  readonly iceParameters: types.IceParameters;
  readonly iceCandidates: readonly types.IceCandidate[];
  readonly dtlsParameters: types.DtlsParameters;
  /** Only where data channels were accepted. */
  readonly sctpParameters?: types.SctpParameters;
}

export interface AnswerOptions {
  readonly offer: Offer;
  readonly transport: LocalTransport;
  /** The parameters of what is sent to a player, by mid. Sections without an entry only receive. */
  readonly sent?: ReadonlyMap<string, types.RtpParameters>;
  /** Kilobits per second at which a publishing browser starts its video; see {@link VIDEO_START_BITRATE}. */
  readonly videoStartBitrate?: number;
  /**
   * Milliseconds of audio per packet that the publisher is asked for (`a=ptime`, RFC 8866, 6.4). The default of
   * browsers is 20; longer packets save headers and wake-ups on both sides, but a lost one is a longer gap.
   */
  readonly audioPacketMs?: number;
  /** Name of the media stream for a player; without `msid` the SDK's page shows nothing. */
  readonly streamId?: string;
}

/** The answer: one codec per accepted section, all candidates, all other sections rejected. */
export function buildAnswer({
  offer,
  transport,
  sent,
  videoStartBitrate,
  audioPacketMs,
  streamId = 'stream',
}: AnswerOptions): string {
  const accepted = offer.sections.filter((section) => section.accepted).map((section) => section.mid);
  const lines = [
    'v=0',
    // The session id needs no meaning: this session is never updated (RFC 9429, 5.3.1).
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=ice-lite',
    `a=group:BUNDLE ${accepted.join(' ')}`,
    `a=msid-semantic: WMS *`,
  ];
  for (const section of offer.sections) {
    if (section.accepted && section.mid === offer.dataMid) {
      lines.push(...dataLines(section, transport, offer.dtls.role));
      continue;
    }
    const media = section.accepted ? (section.type === 'audio' ? offer.audio : offer.video) : undefined;
    if (!media) {
      lines.push(
        `m=${section.type} 0 ${section.protocol} ${section.formats}`,
        'c=IN IP4 0.0.0.0',
        `a=mid:${section.mid}`,
        'a=inactive',
      );
      continue;
    }
    const outgoing = sent?.get(section.mid);
    const parameters =
      videoStartBitrate && media === offer.video
        ? withStartBitrate(media.rtpParameters, videoStartBitrate)
        : media.rtpParameters;
    lines.push(...mediaLines(section, outgoing ?? parameters, transport, offer.dtls.role));
    if (outgoing) lines.push('a=sendonly', ...sourceLines(outgoing, streamId, section.type));
    else lines.push(sent ? 'a=inactive' : 'a=recvonly', ...layerLines(media.rtpParameters));
    if (audioPacketMs && media === offer.audio) lines.push(`a=ptime:${audioPacketMs}`);
  }
  return lines.join('\r\n') + '\r\n';
}

/** A parameter of `a=fmtp` that only Chromium knows; other clients ignore it. */
function withStartBitrate(parameters: types.RtpParameters, kilobits: number): types.RtpParameters {
  const [media, ...others] = parameters.codecs;
  return {
    ...parameters,
    codecs: [
      { ...media!, parameters: { 'x-google-start-bitrate': kilobits, ...(media!.parameters as object) } },
      ...others,
    ],
  };
}

function mediaLines(
  section: Section,
  parameters: types.RtpParameters,
  transport: LocalTransport,
  remoteRole: types.DtlsRole | undefined,
): string[] {
  const payloads = parameters.codecs.map((codec) => codec.payloadType).join(' ');
  return [
    `m=${section.type} 9 ${section.protocol} ${payloads}`,
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    `a=mid:${section.mid}`,
    'a=rtcp-mux',
    'a=rtcp-mux-only',
    ...(parameters.rtcp?.reducedSize ? ['a=rtcp-rsize'] : []),
    ...transportLines(transport, remoteRole),
    ...(parameters.headerExtensions ?? []).map((ext) => `a=extmap:${ext.id} ${ext.uri}`),
    ...parameters.codecs.flatMap(codecLines),
  ];
}

function dataLines(section: Section, transport: LocalTransport, remoteRole: types.DtlsRole | undefined): string[] {
  const { port = 5000, maxMessageSize = 0 } = transport.sctpParameters ?? {};
  return [
    `m=${section.type} 9 ${section.protocol} ${section.formats}`,
    'c=IN IP4 0.0.0.0',
    `a=mid:${section.mid}`,
    ...transportLines(transport, remoteRole),
    `a=sctp-port:${port}`,
    `a=max-message-size:${maxMessageSize}`,
  ];
}

function transportLines(
  { iceParameters, iceCandidates, dtlsParameters }: LocalTransport,
  remoteRole: types.DtlsRole | undefined,
): string[] {
  return [
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    ...iceCandidates.map(candidateLine),
    'a=end-of-candidates',
    ...dtlsParameters.fingerprints
      .filter(({ algorithm }) => algorithm === 'sha-256')
      .map(({ algorithm, value }) => `a=fingerprint:${algorithm} ${value}`),
    `a=setup:${remoteRole === 'server' ? 'active' : 'passive'}`,
  ];
}

function candidateLine({ foundation, protocol, priority, address, port, tcpType }: types.IceCandidate): string {
  return `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${port} typ host${tcpType ? ` tcptype ${tcpType}` : ''}`;
}

function codecLines({
  mimeType,
  payloadType,
  clockRate,
  channels,
  parameters,
  rtcpFeedback,
}: types.RtpCodecParameters): string[] {
  const format = Object.entries((parameters ?? {}) as Record<string, string | number>).map(
    ([key, value]) => `${key}=${value}`,
  );
  return [
    `a=rtpmap:${payloadType} ${mimeType.split('/')[1]}/${clockRate}${channels && channels > 1 ? `/${channels}` : ''}`,
    ...(format.length > 0 ? [`a=fmtp:${payloadType} ${format.join(';')}`] : []),
    ...(rtcpFeedback ?? []).map(
      ({ type, parameter }) => `a=rtcp-fb:${payloadType} ${type}${parameter ? ` ${parameter}` : ''}`,
    ),
  ];
}

function sourceLines(parameters: types.RtpParameters, streamId: string, trackId: string): string[] {
  const ssrc = parameters.encodings?.[0]?.ssrc;
  return [
    `a=msid:${streamId} ${trackId}`,
    `a=ssrc:${ssrc} cname:${parameters.rtcp?.cname ?? streamId}`,
    `a=ssrc:${ssrc} msid:${streamId} ${trackId}`,
  ];
}
