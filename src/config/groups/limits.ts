import { frameSize, integer } from '../fields.ts';

/** The largest number of each. */
export const limits = {
  max_streams: integer(1, 100_000).default(500),
  /** Players of the WebSocket and WHEP together. */
  max_players: integer(1, 100_000).default(100),
  max_transponders: integer(1, 100_000).default(1000),
  max_transponders_per_stream: integer(1, 100_000).default(100),
  max_encoders: integer(1, 10_000).default(64),
  /** The largest frame accepted from a publisher, in either orientation. */
  max_frame_size: frameSize.prefault('4096x2304'),
  /** Megabytes of resident memory of one ffmpeg; 0: no limit. */
  max_encoder_memory_mb: integer(0, 1_000_000).default(1024),
  /** Sessions that are not connected yet: see `webrtc/pending-sessions.ts`. */
  max_pending_sessions: integer(1, 100_000).default(100),
  max_pending_sessions_per_ip: integer(1, 100_000).default(20),
  ended_transponders_kept: integer(0, 100_000).default(200),
};
