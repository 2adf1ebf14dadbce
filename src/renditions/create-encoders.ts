import type { Settings } from '../config/schema.ts';
import type { Logger } from '../observe/logger.ts';
import type { Metrics } from '../observe/metrics.ts';
import { EncoderPool } from './encoder-pool.ts';
import { KeyFrameReader } from './key-frame-reader.ts';
import { KeyFramePace } from './key-frame-requests.ts';
import { SharedEncoders } from './shared-encoders.ts';
import { SnapshotService } from './snapshot.ts';

/** What reads the media of streams. */
export interface Encoders {
  readonly encoders: EncoderPool;
  readonly keyFrames: KeyFrameReader;
  readonly snapshots: SnapshotService;
}

/** Creates the encoders of the gateway from its settings, and registers their metrics. */
export async function createEncoders(
  settings: Settings,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): Promise<Encoders> {
  const maxFrameSize = settings.max_frame_size;
  const sharedEncoders = await shareEncoders(settings, logger);
  const encoders = new EncoderPool({
    audioBitrate: settings.audio_bitrate,
    audioBatchMs: settings.audio_batch_ms,
    ...(sharedEncoders && { sharedEncoders }),
    videoBitrate: settings.transcoder_video_bitrate,
    keyFrameIntervalMs: settings.key_frame_interval_ms,
    transcodingDisabled: settings.transcoding_disabled,
    maxEncoders: settings.max_encoders,
    maxFrameSize,
    logger,
  });
  const keyFrames = new KeyFrameReader({ maxFrameSize });
  const maxDecodes = settings.max_snapshot_processes;
  const snapshots = new SnapshotService({ running: encoders, keyFrames, maxFrameSize, maxDecodes, logger });
  metrics.gauge(
    'gateway_encoders',
    'Encoders that run: one audio encoder for each stream that is pushed, and the video encoders.',
    () => encoders.running,
  );
  metrics.total(
    'gateway_key_frame_requests_total',
    'Key frames requested from publishers for outputs.',
    () => KeyFramePace.total,
  );
  return { encoders, keyFrames, snapshots };
}

/** The set-up sets OPUS_TO_AAC_BIN if it could build the program. */
async function shareEncoders(
  { audio_encoder_streams: streamsEach, audio_batch_ms: audioBatchMs }: Settings,
  logger: Logger,
): Promise<SharedEncoders | undefined> {
  const program = process.env['OPUS_TO_AAC_BIN'];
  return program && streamsEach > 1 ? SharedEncoders.create({ program, streamsEach, audioBatchMs, logger }) : undefined;
}
