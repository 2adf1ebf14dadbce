import type { types } from 'mediasoup';
import { ParameterSetStore } from '../media/codecs/avc-parameter-sets.ts';

/** As many as there are ids; more are not read. */
const MAX_SETS = 288;

/**
 * The parameter sets of an H.264 section of an SDP (`sprop-parameter-sets`, RFC 6184, 8.1): NAL units in base64, with
 * commas between them. Others may follow in RTP. What is malformed is ignored.
 */
export function parameterSetsOf({ codecs }: types.RtpParameters): ParameterSetStore {
  const store = new ParameterSetStore();
  const sprop: unknown = (codecs[0]?.parameters as Record<string, unknown> | undefined)?.['sprop-parameter-sets'];
  if (typeof sprop !== 'string') return store;
  for (const text of sprop.split(',', MAX_SETS))
    if (/^[A-Za-z0-9+/]+={0,2}$/.test(text.trim())) store.take(Buffer.from(text.trim(), 'base64'));
  return store;
}
