import { z } from 'zod';
import { flag, integer, port } from '../fields.ts';

const MAX_RUNGS = 6;
/** Lower qualities: `HEIGHT:KBPS`, separated by commas. */
const ladder = z.string().transform((text, context) => {
  const rungs = text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part) => {
      const [, height = 0, kbps = 0] = (/^(\d{3,4}):(\d{2,6})$/.exec(part) ?? []).map(Number);
      return { height, kbps };
    });
  const isValid = rungs.every(
    ({ height, kbps }) => height >= 120 && height <= 4320 && height % 2 === 0 && kbps >= 50 && kbps <= 100_000,
  );
  const heights = new Set(rungs.map(({ height }) => height));
  if (isValid && heights.size === rungs.length && rungs.length <= MAX_RUNGS) return rungs;
  context.addIssue({
    code: 'custom',
    message:
      `must be up to ${MAX_RUNGS} different HEIGHT:KBPS, such as 720:2500,480:1200: an even height from 120 to ` +
      '4320 and 50 to 100000 kbit/s',
  });
  return z.NEVER;
});

/** Streams as HLS. */
export const hls = {
  hls: flag.default(false),
  /** Streams are packaged before somebody watches. */
  hls_always: flag.default(false),
  /** Seconds without viewers after which a stream is not packaged any more. */
  hls_idle_s: integer(1, 86_400).default(30),
  /** Lower qualities besides the stream's own, each with an encoder. Empty: none. */
  hls_ladder: ladder.default([]),
  /** Seconds that viewers can rewind, kept on the disk. 0: the usual window of some seconds, in memory. */
  hls_dvr_s: integer(0, 86_400).default(0),
  /** WCS's ports and paths of HLS. */
  'hls.port': port.default(8082),
  'hls.https.port': port.default(8445),
  max_hls_streams: integer(1, 10_000).default(50),
  max_hls_viewers: integer(1, 1_000_000).default(1000),
  /** Of one address, and of one key or token. */
  max_hls_viewers_per_client: integer(1, 1_000_000).default(250),
};
