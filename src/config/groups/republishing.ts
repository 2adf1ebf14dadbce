import { z } from 'zod';
import { choice, duration, flag, integer, optionalAddress } from '../fields.ts';

/** Pushes to RTMP servers. */
export const republishing = {
  rtmp_transponder_stream_name_prefix: z
    .string()
    .regex(/^[\w.-]*$/, 'may contain letters, digits, _ . and - only')
    .default('rtmp_'),
  rtmp_transponder_full_url: flag.default(false),
  rtmp_transponder_send_metadata: flag.default(true),
  rtmp_publisher_ip: optionalAddress.default(''),
  rtmp_flash_ver_subscriber: z.string().min(1).default('FMLE/3.0 (compatible; FMSc/1.0)'),
  rtmp_push_auto_start: flag.default(false),
  rtmp_push_auto_start_url: z
    .string()
    .regex(/^(?:rtmps?:\/\/.+)?$/i, 'must begin with rtmp:// or rtmps://')
    .default(''),
  rtmp_push_restore: flag.default(false),
  rtmp_push_restore_attempts: integer(1, 1_000_000).default(3),
  rtmp_push_restore_interval_ms: integer(100, 3_600_000).default(5000),
  /** If set, the interval doubles with each attempt up to this cap, with jitter. 0: fixed interval, as in WCS. */
  rtmp_push_restore_backoff_cap_ms: duration.default(0),
  rtmp_push_stall_timeout_ms: integer(500, 600_000).default(10_000),
  rtmp_push_name_held_ms: integer(0, 3_600_000).default(300_000),
  rtmp_out_buffer_enabled: flag.default(false),
  rtmp_out_buffer_start_size: duration.default(300),
  rtmp_out_buffer_initial_size: duration.default(2000),
  rtmp_out_buffer_polling_time: integer(5, 10_000).default(50),
  rtmp_out_buffer_max_bufferings_allowed: integer(-1, 1_000_000).default(-1),
  'rtmp.server_buffer_enabled': flag.default(true),
  rtmps_ca_file: z.string().default(''),
  rtmps_insecure_host: z
    .string()
    .regex(/^[\w.:-]*$/, 'must be one address or host name')
    .default(''),
  /** What goes out in place of H.264 and AAC, unless the request says something else. */
  rtmp_video_codec: choice(['auto', 'h264', 'source']).default('auto'),
  rtmp_audio_codec: choice(['auto', 'aac', 'source']).default('auto'),
  rtmp_enhanced: flag.default(true),
  push_engine: choice(['ffmpeg', 'rtmp']).default('rtmp'),
};
