import { access, constants, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Settings } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { Logger } from '../../observe/logger.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { EncoderPool } from '../../renditions/encoder-pool.ts';
import type { Store } from '../../store/store.ts';
import type { StreamRegistry } from '../../streams/stream-registry.ts';
import { LateGroups, type LoadSignal } from '../late-groups.ts';
import { standbyDefaults } from '../push/standby-defaults.ts';
import type { StandbyRenditions } from '../push/standby-renditions.ts';
import { finishFile } from './finish-file.ts';
import { Posters } from './posters.ts';
import { createNewFile } from './record-file.ts';
import { freeBytesOf } from '../../runtime/disk-space.ts';
import { Recorders } from './recorders.ts';
import { Recordings } from './recordings.ts';
import { createUploads } from './upload/create-uploads.ts';

/** The parts of the gateway that recorders need. */
export interface RecorderParts {
  readonly registry: StreamRegistry;
  readonly encoders: EncoderPool;
  readonly standbys: StandbyRenditions;
  readonly overload: LoadSignal;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const MEGABYTE = 1024 * 1024;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * Creates the recorders of the gateway from its settings, and registers their metrics.
 *
 * @throws {GatewayError} SETTINGS_INVALID
 */
export async function createRecorders(
  settings: Settings,
  { registry, encoders, standbys, overload, store, metrics, logger }: RecorderParts,
): Promise<Recorders> {
  const { recording: enabled, state_dir: stateDir } = settings;
  const folder = resolve(settings.record_dir || join(stateDir, 'recordings'));
  if (enabled) await prepareFolder(folder);
  if (enabled && stateDir === '')
    logger.warn('recording=true without state_dir: the list of recordings ends with this process; the files stay');
  const recordings = await Recordings.create(folder, store, logger);
  const posters = await Posters.create({
    recordings,
    maxFrameSize: settings.max_frame_size,
    maxDecodes: settings.max_snapshot_processes,
    logger,
  });
  const uploads = await createUploads(settings, { recordings, posters, store, metrics, logger });
  const recorders = Recorders.create({
    enabled,
    all: settings.record_all,
    registry,
    encoders,
    ...(settings.record_standby && {
      continuous: (streamName, profile) => standbys.lease(streamName, standbyDefaults(settings), { profile }),
    }),
    recordings,
    posters,
    uploads,
    environment: {
      recordings,
      lateGroups: new LateGroups(overload),
      format: settings.record_format,
      template: settings.record_template,
      maxFileBytes: settings.record_max_file_mb * MEGABYTE,
      maxFileMs: settings.record_max_file_minutes * MINUTE_MS,
      standby: settings.record_standby,
      openFile: createNewFile,
      finish: finishFile,
      logger,
    },
    retention: {
      keepMs: settings.record_keep_days * DAY_MS,
      maxTotalBytes: settings.record_max_total_mb * MEGABYTE,
    },
    audio: settings.record_audio,
    maxRecorders: settings.max_recordings,
    minFreeBytes: settings.record_min_free_mb * MEGABYTE,
    freeBytes: freeBytesOf,
    logger,
  });
  registerMetrics(metrics, recorders);
  return recorders;
}

async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o750 });
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new GatewayError('SETTINGS_INVALID', `record_dir: nothing can be written to ${folder} (${code}).`, {
      cause: error,
    });
  }
}

function registerMetrics(metrics: Metrics, recorders: Recorders): void {
  metrics.gauge('gateway_recordings', 'Streams that are being recorded.', () => recorders.running);
  metrics.total('gateway_recorded_bytes_total', 'Bytes written to recordings.', () => recorders.bytesWritten);
  metrics.total(
    'gateway_recording_frames_dropped_total',
    'Video frames that are missing in recordings because the disk was slow or the gateway was overloaded.',
    () => recorders.framesDropped,
  );
  const ends = metrics.labelledCounter(
    'gateway_recording_ends_total',
    'Recorded files that have ended, by state.',
    'state',
  );
  recorders.recordings.on('change', ({ state }) => {
    if (state === 'complete' || state === 'failed') ends.inc(state);
  });
}
