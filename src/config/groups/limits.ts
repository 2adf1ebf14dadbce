import { frameSize, integer } from '../fields.ts';

/** The largest number of each. */
export const limits = {
  max_streams: integer(1, 100_000).default(500),
  /** Players of the WebSocket and WHEP together. */
  max_players: integer(1, 100_000).default(100),
  max_transponders: integer(1, 100_000).default(1000),
  max_transponders_per_stream: integer(1, 100_000).default(100),
  max_encoders: integer(1, 10_000).default(64),
  /** ffmpegs that decode snapshots at the same time. */
  max_snapshot_processes: integer(1, 64).default(2),
  /** The largest frame accepted from a publisher, in either orientation. */
  max_frame_size: frameSize.prefault('4096x2304'),
  /** Megabytes of resident memory of one ffmpeg; 0: no limit. */
  max_encoder_memory_mb: integer(0, 1_000_000).default(1024),
  /** Sessions that are not connected yet: see `webrtc/pending-sessions.ts`. */
  max_pending_sessions: integer(1, 100_000).default(100),
  max_pending_sessions_per_ip: integer(1, 100_000).default(20),
  /** Requests of one key or, without a known key, of one address, on average over ten seconds. */
  max_http_requests_per_second: integer(1, 1_000_000).default(200),
  /** Wrong keys and tokens of one address. */
  max_failed_logins_per_minute: integer(1, 1_000_000).default(60),
  /** Connections of http.port and https.port together, and those of ws.port and wss.port together. */
  max_http_connections: integer(1, 1_000_000).default(2000),
  max_http_connections_per_ip: integer(1, 1_000_000).default(500),
  max_ws_connections: integer(1, 1_000_000).default(2000),
  max_ws_connections_per_ip: integer(1, 1_000_000).default(500),
  /** Messages of one WebSocket: see `net/token-bucket.ts`. */
  max_ws_messages_per_second: integer(1, 1_000_000).default(100),
  max_ws_message_burst: integer(1, 1_000_000).default(300),
  /** Streams that one WebSocket publishes and plays. */
  max_ws_streams: integer(1, 100_000).default(64),
  /** Kilobytes that wait for a client which reads slowly: see `signaling/outbox.ts`. */
  max_ws_queued_kb: integer(16, 1_000_000).default(256),
  /** Clients that follow /api/v1/events, such as pages of the console. */
  max_event_clients: integer(1, 10_000).default(100),
  /** Saved destinations, and groups of them. */
  max_saved_destinations: integer(1, 10_000).default(500),
  ended_transponders_kept: integer(0, 100_000).default(200),
};
