import { flag, integer, port } from '../fields.ts';

/** Streams as HLS. */
export const hls = {
  hls: flag.default(false),
  /** Streams are packaged before somebody watches. */
  hls_always: flag.default(false),
  /** Seconds without viewers after which a stream is not packaged any more. */
  hls_idle_s: integer(1, 86_400).default(30),
  /** WCS's ports and paths of HLS. */
  'hls.port': port.default(8082),
  'hls.https.port': port.default(8445),
  max_hls_streams: integer(1, 10_000).default(50),
  max_hls_viewers: integer(1, 1_000_000).default(1000),
};
