import type * as sdpTransform from 'sdp-transform';
import type { types } from 'mediasoup';

/** Simulcast in SDP: RFC 8853 with the stream identifiers of RFC 8851. Pure. */

/** The header extensions that identify the layers of one m-line, besides the mid (RFC 8852). */
export const RID_EXTENSIONS: ReadonlySet<string> = new Set([
  'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id',
]);

/** Browsers send three. More would only waste upload bandwidth: one layer is forwarded to RTMP. */
const MAX_LAYERS = 4;

/**
 * The layers that an m-line offers to send, in its order; empty without simulcast. Of alternatives (`a,b`) the first
 * one is taken, which the offerer prefers.
 */
export function offeredLayers(media: sdpTransform.MediaDescription): string[] {
  const offered = media.simulcast;
  const list = offered?.dir1 === 'send' ? offered.list1 : offered?.dir2 === 'send' ? offered.list2 : undefined;
  const described = new Set(
    (media.rids ?? []).filter(({ direction }) => direction === 'send').map(({ id }) => String(id)),
  );
  const extensions = new Set((media.ext ?? []).map(({ uri }) => uri));
  if (list === undefined || ![...RID_EXTENSIONS].some((uri) => extensions.has(uri))) return [];
  const layers = String(list)
    .split(';')
    .map((alternatives) => alternatives.split(',', 1)[0]!.replace(/^~/, ''))
    .filter((rid) => /^[A-Za-z0-9_-]{1,16}$/.test(rid) && described.has(rid));
  const distinct = [...new Set(layers)].slice(0, MAX_LAYERS);
  return distinct.length > 1 ? distinct : [];
}

/** The answer's lines for the received layers; none without simulcast. */
export function layerLines({ encodings = [] }: types.RtpParameters): string[] {
  const rids = encodings.flatMap(({ rid }) => (rid === undefined ? [] : [rid]));
  return rids.length === 0 ? [] : [...rids.map((rid) => `a=rid:${rid} recv`), `a=simulcast:recv ${rids.join(';')}`];
}
