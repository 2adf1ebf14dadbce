import { z } from 'zod';
import { choice, duration, flag, integer } from '../fields.ts';

/** Encoders, and what publishers are asked for. */
export const encoding = {
  transcoding_disabled: flag.default(false),
  avvideo_transcoder_preserve_aspect_ratio: flag.default(true),
  /** Kilobits per second of transcoded video. 0: by height. */
  transcoder_video_bitrate: integer(0, 100_000).default(0),
  audio_bitrate: integer(32, 320).default(128),
  /** Milliseconds of audio in a packet that publishers are asked for: see `sdp-answer.ts`. */
  audio_packet_ms: choice(['20', '40', '60']).default('40').transform(Number),
  /** Milliseconds: see `audio-encoder.ts`. */
  audio_batch_ms: integer(20, 200).default(120),
  /** Streams whose audio one process encodes. 1: one ffmpeg for each stream. */
  audio_encoder_streams: integer(1, 64).default(16),
  rtmp_transponder_audio_codec: choice(['aac', 'pcma', 'pcmu', 'speex']).default('aac'),
  /** Milliseconds between key frame requests to a publisher. Platforms refuse more than 4 s. */
  key_frame_interval_ms: integer(500, 60_000).default(2000),
  publisher_resume_window_ms: duration.default(15_000),
  media_dir: z.string().min(1).default('media'),
};
