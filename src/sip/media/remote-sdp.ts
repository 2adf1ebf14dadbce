import { isIPv4 } from 'node:net';
import * as sdpTransform from 'sdp-transform';
import type { AudioCodec } from '../../streams/live-stream.ts';
import { isPassableH264Profile, DEFAULT_H264_PROFILE } from '../../webrtc/codecs.ts';
import { STATIC_TYPES, type CallVideoCodec, type CodecFormat } from './codecs.ts';
import { parseCrypto, type CryptoKey } from './sdes.ts';

/** Reads the SDP of a peer, an offer or an answer (RFC 8866, RFC 3264). Pure. */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** A line of media of the peer that can be used. */
export interface RemoteLine<Name extends AudioCodec | CallVideoCodec = AudioCodec | CallVideoCodec> {
  /** Its place among the lines. */
  readonly index: number;
  readonly protocol: string;
  /** IPv4; `0.0.0.0` on hold. */
  readonly address: string;
  readonly port: number;
  readonly rtcpPort: number;
  /** From the peer's point of view. */
  readonly direction: Direction;
  /** In the order of the peer. */
  readonly codecs: readonly CodecFormat<Name>[];
  /** Payload types of telephone-event by their clock rates. */
  readonly telephoneEvents: ReadonlyMap<number, number>;
  /** How key frames can be requested; `undefined`: nothing is said. */
  readonly feedback: { readonly pli: boolean; readonly fir: boolean } | undefined;
  readonly keys: readonly CryptoKey[];
}

export interface RemoteSdp {
  /** All lines, for the answer. */
  readonly sections: readonly { readonly type: string; readonly protocol: string; readonly formats: string }[];
  readonly audio: RemoteLine<AudioCodec> | undefined;
  readonly video: RemoteLine<CallVideoCodec> | undefined;
}

const MAX_BYTES = 16 * 1024;
const MAX_LINE = 4096;
const MAX_LINES = 512;
const MAX_MEDIA = 8;
const MAX_FORMATS = 64;
const PROTOCOLS = new Set(['RTP/AVP', 'RTP/AVPF', 'RTP/SAVP', 'RTP/SAVPF']);

type Parsed = ReturnType<typeof sdpTransform.parse>;
type Media = Parsed['media'][number];

/** @returns `undefined` for anything that is not the SDP of a call, or is too large */
export function readRemoteSdp(text: string): RemoteSdp | undefined {
  if (text.length > MAX_BYTES || !text.startsWith('v=0')) return undefined;
  const lines = text.split(/\r?\n/, MAX_LINES + 1);
  if (lines.length > MAX_LINES || lines.some((line) => line.length > MAX_LINE)) return undefined;
  let parsed: Parsed;
  try {
    parsed = sdpTransform.parse(text);
    if (parsed.media.length === 0 || parsed.media.length > MAX_MEDIA) return undefined;
    const read = parsed.media.map((media, index) => readLine(parsed, media, index));
    return {
      sections: parsed.media.map(({ type, protocol, payloads }) => ({
        type: word(type),
        protocol: word(protocol),
        formats: String(payloads ?? 0).replace(/[^\w .*-]/g, ''),
      })),
      audio: read.find((line) => line?.kind === 'audio')?.line as RemoteLine<AudioCodec> | undefined,
      video: read.find((line) => line?.kind === 'video')?.line as RemoteLine<CallVideoCodec> | undefined,
    };
  } catch {
    // sdp-transform reads values loosely: whatever has another type than expected is no SDP.
    return undefined;
  }
}

const word = (text: unknown): string =>
  String(text)
    .replace(/[^\w/.-]/g, '')
    .slice(0, 64);

function readLine(
  session: Parsed,
  media: Media,
  index: number,
): { readonly kind: 'audio' | 'video'; readonly line: RemoteLine } | undefined {
  const { type: kind, protocol, port } = media;
  if ((kind !== 'audio' && kind !== 'video') || !PROTOCOLS.has(protocol)) return undefined;
  const connection = media.connection ?? session.connection;
  if (!Number.isInteger(port) || port <= 0 || port > 65_534 || !connection || !isIPv4(connection.ip)) return undefined;
  const formats = formatsOf(media);
  const codecs = formats.flatMap((one) => codecOf(kind, one) ?? []);
  if (codecs.length === 0) return undefined;
  const telephoneEvents = new Map(
    formats
      .filter(({ encoding }) => /^telephone-event$/i.test(encoding))
      .map(({ payloadType, clockRate }) => [clockRate, payloadType]),
  );
  const line: RemoteLine = {
    index,
    protocol,
    address: connection.ip,
    port,
    rtcpPort: rtcpPortOf(media),
    direction: media.direction ?? session.direction ?? 'sendrecv',
    codecs,
    telephoneEvents,
    feedback: feedbackOf(media),
    keys: (media.crypto ?? []).slice(0, MAX_MEDIA).flatMap((crypto) => parseCrypto(crypto) ?? []),
  };
  return { kind, line };
}

function rtcpPortOf({ rtcp, rtcpMux, port }: Media): number {
  if (rtcpMux) return port;
  const given = rtcp?.port;
  return given !== undefined && Number.isInteger(given) && given > 0 && given <= 65_535 ? given : port + 1;
}

interface Format {
  readonly payloadType: number;
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
  readonly fmtp: string;
}

/** In the order of the line. One payload type is a number, several are text. */
function formatsOf({ payloads, rtp, fmtp }: Media): Format[] {
  const types = String(payloads ?? '')
    .split(/\s+/, MAX_FORMATS)
    .filter((type) => /^\d{1,3}$/.test(type))
    .map(Number)
    .filter((type) => type < 128);
  return types.flatMap((payloadType) => {
    const mapped = rtp.find(({ payload }) => payload === payloadType);
    const known = STATIC_TYPES.get(payloadType);
    if (!mapped && !known) return [];
    return {
      payloadType,
      encoding: String(mapped?.codec ?? known!.encoding),
      clockRate: mapped?.rate ?? known?.clockRate ?? 8000,
      channels: Number(mapped?.encoding ?? 1),
      fmtp: String(fmtp.find(({ payload }) => payload === payloadType)?.config ?? ''),
    };
  });
}

function codecOf(kind: 'audio' | 'video', { encoding, channels: _, ...format }: Format): CodecFormat | undefined {
  const base = { ...format, encoding, channels: 1 } as const;
  switch (`${kind}/${encoding.toLowerCase()}`) {
    case 'audio/pcmu':
      return format.clockRate === 8000 ? { ...base, name: 'pcmu' } : undefined;
    case 'audio/pcma':
      return format.clockRate === 8000 ? { ...base, name: 'pcma' } : undefined;
    case 'audio/opus':
      return format.clockRate === 48_000 ? { ...base, name: 'opus', channels: 2 } : undefined;
    case 'video/vp8':
      return format.clockRate === 90_000 ? { ...base, name: 'vp8' } : undefined;
    case 'video/h264':
      return format.clockRate === 90_000 ? h264(base) : undefined;
    default:
      return undefined;
  }
}

/** Without `packetization-mode` it is 0 (RFC 6184, 8.1); 2 is interleaved, which nothing here reads. */
function h264(base: Omit<CodecFormat, 'name'>): CodecFormat | undefined {
  const parameter = (name: string): string | undefined =>
    new RegExp(String.raw`(?:^|[;\s])${name}\s*=\s*([^;\s]+)`, 'i').exec(base.fmtp)?.[1];
  const mode = Number(parameter('packetization-mode') ?? 0);
  if (mode !== 0 && mode !== 1) return undefined;
  if (!isPassableH264Profile(parameter('profile-level-id') ?? DEFAULT_H264_PROFILE)) return undefined;
  return { ...base, name: 'h264', mode };
}

function feedbackOf({ rtcpFb }: Media): RemoteLine['feedback'] {
  if (!rtcpFb || rtcpFb.length === 0) return undefined;
  const has = (type: string, subtype: string): boolean =>
    rtcpFb.some((one) => one.type === type && one.subtype === subtype);
  return { pli: has('nack', 'pli'), fir: has('ccm', 'fir') };
}
