import { STATIC_TYPES, type CodecFormat } from './codecs.ts';
import type { Direction } from './remote-sdp.ts';
import { formatCrypto, type CryptoKey } from './sdes.ts';

/** One line of media of the gateway. */
export interface LocalLine {
  readonly kind: 'audio' | 'video';
  readonly protocol: string;
  readonly port: number;
  readonly direction: Direction;
  readonly codecs: readonly CodecFormat[];
  /** Payload types of telephone-event by clock rate. */
  readonly telephoneEvents: ReadonlyMap<number, number>;
  readonly keys: readonly CryptoKey[];
}

/** A line that is not used. */
export interface RefusedLine {
  readonly type: string;
  readonly protocol: string;
  readonly formats: string;
}

export interface LocalSdp {
  readonly address: string;
  readonly sessionId: number;
  readonly version: number;
  readonly lines: readonly (LocalLine | RefusedLine)[];
}

/** Kilobits per second that a line may have: many peers send little video without a number. */
const BANDWIDTH = { audio: 128, video: 2000 };

/** As short as it can be: offers must fit into a datagram. */
export const writeSdp = ({ address, sessionId, version, lines }: LocalSdp): string =>
  [
    'v=0',
    `o=- ${sessionId} ${version} IN IP4 ${address}`,
    's=-',
    `c=IN IP4 ${address}`,
    't=0 0',
    ...lines.flatMap((line) => ('kind' in line ? writeLine(line) : writeRefused(line))),
    '',
  ].join('\r\n');

const writeRefused = ({ type, protocol, formats }: RefusedLine): string[] => [
  `m=${type} 0 ${protocol} ${formats || '0'}`,
];

function writeLine({ kind, protocol, port, direction, codecs, telephoneEvents, keys }: LocalLine): string[] {
  const types = [...codecs.map(({ payloadType }) => payloadType), ...telephoneEvents.values()];
  return [
    `m=${kind} ${port} ${protocol} ${types.join(' ')}`,
    `b=AS:${BANDWIDTH[kind]}`,
    ...codecs.flatMap(({ payloadType, encoding, clockRate, channels, fmtp }) => [
      ...(STATIC_TYPES.has(payloadType)
        ? []
        : [`a=rtpmap:${payloadType} ${encoding}/${clockRate}${channels === 2 ? '/2' : ''}`]),
      ...(fmtp === '' ? [] : [`a=fmtp:${payloadType} ${fmtp}`]),
    ]),
    ...[...telephoneEvents].map(([rate, type]) => `a=rtpmap:${type} telephone-event/${rate}`),
    ...(kind === 'video' ? ['a=rtcp-fb:* nack pli', 'a=rtcp-fb:* ccm fir'] : []),
    ...keys.map(formatCrypto),
    ...(direction === 'sendrecv' ? [] : [`a=${direction}`]),
  ];
}
