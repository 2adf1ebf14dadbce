import { createHash } from 'node:crypto';
import type { Amf0Object } from '../../src/media/amf0.ts';
import { decodeAmf0 } from '../../src/media/amf0.ts';
import { OPUS_SAMPLE_RATE, opusPacketSamples } from '../../src/media/codecs/opus-packet.ts';
import { OggOpusWriter } from '../../src/media/containers/ogg-opus.ts';
import { ivfFrameHeader, ivfHeader, type IvfFourcc } from '../../src/media/containers/ivf.ts';
import { MESSAGE, type RtmpMessage } from '../../src/rtmp/message.ts';
import { startScriptedServer, type Answer, type ScriptedPeer, type ScriptedServer } from './scripted-rtmp-server.ts';

/** One message with media, as a server reads it. Independent of `src/media/containers`. */
export interface EnhancedTag {
  readonly kind: 'audio' | 'video' | 'data';
  readonly timestamp: number;
  /** Of codecs with a name. */
  readonly fourcc: string | undefined;
  readonly sequenceHeader: boolean;
  readonly keyFrame: boolean;
  readonly payload: Buffer;
}

const KINDS: Readonly<Record<number, EnhancedTag['kind']>> = { 8: 'audio', 9: 'video', 18: 'data' };

/** Enhanced RTMP v2: ExVideoTagHeader and ExAudioTagHeader; other codecs as FLV 10.1 has them. */
export function readTag({
  type,
  timestamp,
  payload: body,
}: Pick<RtmpMessage, 'type' | 'timestamp' | 'payload'>): EnhancedTag {
  const kind = KINDS[type] ?? 'data';
  const first = body[0] ?? 0;
  const isNamed = kind === 'video' ? (first & 0x80) !== 0 : kind === 'audio' && first >> 4 === 9;
  const packetType = isNamed ? first & 0x0f : body[1];
  const frameType = isNamed ? (first >> 4) & 0x07 : first >> 4;
  return {
    kind,
    timestamp,
    fourcc: isNamed ? body.toString('latin1', 1, 5) : undefined,
    sequenceHeader: kind !== 'data' && packetType === 0,
    keyFrame: kind === 'video' && frameType === 1 && packetType === 1,
    payload: isNamed ? body.subarray(5) : body,
  };
}

/** The tags of a connection. */
export const tagsOf = ({ messages }: ScriptedPeer): EnhancedTag[] =>
  messages.filter(({ type }) => type in KINDS).map(readTag);

/** Neither a sequence header nor audio. */
export const isFrame = ({ kind, sequenceHeader }: EnhancedTag): boolean => kind === 'video' && !sequenceHeader;

/** The frames of a connection, which may not have been made yet. */
export const framesOf = (peer: ScriptedPeer | undefined): EnhancedTag[] => (peer ? tagsOf(peer).filter(isFrame) : []);

/** An IVF file with the frames among the tags, as a decoder takes it. */
export function ivfOf(
  fourcc: IvfFourcc,
  size: { readonly width: number; readonly height: number },
  tags: readonly EnhancedTag[],
): Buffer {
  const parts = tags
    .filter(isFrame)
    .flatMap(({ timestamp, payload }) => [ivfFrameHeader(payload.length, timestamp), payload]);
  return Buffer.concat([ivfHeader({ fourcc, ...size, timebase: [1, 1000] }), ...parts]);
}

/** An Ogg file with the Opus packets among the tags, at their times. */
export function oggOf(tags: readonly EnhancedTag[]): Buffer {
  const ogg = new OggOpusWriter();
  const pages = tags
    .filter(({ kind, sequenceHeader }) => kind === 'audio' && !sequenceHeader)
    .map(({ timestamp, payload }) =>
      ogg.page([payload], (timestamp * OPUS_SAMPLE_RATE) / 1000 + opusPacketSamples(payload)),
    );
  return Buffer.concat([ogg.header(2), ...pages]);
}

/** What `onMetaData` said last. */
export function metadataOf(peer: ScriptedPeer): Amf0Object {
  const { payload } = peer.messages.findLast(({ type }) => type === MESSAGE.data)!;
  const [, , values] = decodeAmf0(payload) as [string, string, { readonly entries: Amf0Object }];
  return values.entries;
}

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Answers `connect` with the codecs that a server takes. */
export const announcing =
  (codecs: Amf0Object): Answer =>
  (peer, { transaction }) =>
    peer.command(
      '_result',
      transaction,
      { fmsVer: 'FMS/3,0,1,123', ...codecs },
      { level: 'status', code: 'NetConnection.Connect.Success' },
    );

/** A server that announces codecs. */
export const startEnhancedServer = (codecs: Amf0Object): Promise<ScriptedServer> =>
  startScriptedServer({ answers: { connect: announcing(codecs) } });
