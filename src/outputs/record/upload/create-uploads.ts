import type { Settings } from '../../../config/schema.ts';
import type { Logger } from '../../../observe/logger.ts';
import type { Metrics } from '../../../observe/metrics.ts';
import type { Store } from '../../../store/store.ts';
import type { Posters } from '../posters.ts';
import type { Recordings } from '../recordings.ts';
import { S3Bucket } from './s3-bucket.ts';
import { Uploads } from './uploads.ts';

/** The parts of the gateway that uploads need. */
export interface UploadParts {
  readonly recordings: Recordings;
  readonly posters: Posters;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

const MEGABYTE = 1024 * 1024;
const MEGABIT = 1_000_000;

/** Creates the uploads of the gateway from its settings, and registers their metrics. Nothing is asked of the bucket. */
export async function createUploads(
  settings: Settings,
  { recordings, posters, store, metrics, logger }: UploadParts,
): Promise<Uploads> {
  const { s3_bucket: name, state_dir: stateDir } = settings;
  if (name !== '' && stateDir === '')
    logger.warn('s3_bucket without state_dir: uploads that a crash interrupts are not continued');
  const uploads = Uploads.create({
    recordings,
    bucket: name === '' ? undefined : await openBucket(settings),
    prefix: settings.s3_prefix,
    partBytes: settings.s3_part_mb * MEGABYTE,
    maxUploads: settings.s3_max_uploads,
    maxBitsPerSecond: settings.s3_max_mbps * MEGABIT,
    deleteLocal: settings.s3_delete_local,
    redirect: settings.s3_redirect,
    // A recording without a frame has no poster.
    beforeRelease: (recording) => posters.get(recording).catch(() => undefined),
    store,
    logger,
  });
  if (uploads.configured) registerMetrics(metrics, uploads, recordings);
  return uploads;
}

function openBucket(settings: Settings): Promise<S3Bucket> {
  const { s3_access_key_id: accessKeyId, s3_secret_access_key: secretAccessKey } = settings;
  return S3Bucket.create({
    bucket: settings.s3_bucket,
    region: settings.s3_region,
    endpoint: settings.s3_endpoint,
    pathStyle: settings.s3_path_style,
    credentials: accessKeyId === '' ? undefined : { accessKeyId, secretAccessKey },
  });
}

/** Where browsers may load recordings from, for the policy of the console; `undefined`: from the gateway. */
export function redirectOrigin(settings: Settings): string | undefined {
  const { s3_bucket: bucket, s3_redirect: redirect, s3_endpoint: endpoint, s3_path_style: pathStyle } = settings;
  if (bucket === '' || !redirect) return undefined;
  if (endpoint === '') return 'https://*.amazonaws.com';
  const { protocol, host } = new URL(endpoint);
  return `${protocol}//${pathStyle ? '' : `${bucket}.`}${host}`;
}

function registerMetrics(metrics: Metrics, uploads: Uploads, recordings: Recordings): void {
  metrics.labelledGauge(
    'gateway_recordings_not_stored',
    'Recordings that the bucket does not have yet, by state.',
    'state',
    () => uploads.counts,
  );
  metrics.gauge(
    'gateway_recordings_not_stored_bytes',
    'Bytes of recordings that the bucket does not have yet.',
    () => uploads.missingBytes,
  );
  metrics.total('gateway_uploaded_bytes_total', 'Bytes of recordings sent to the bucket.', () => uploads.bytesUploaded);
  metrics.total(
    'gateway_upload_failures_total',
    'Requests to the bucket that failed and are repeated.',
    () => uploads.failures,
  );
  const stored = metrics.counter('gateway_recordings_stored_total', 'Recordings that the bucket has confirmed.');
  recordings.on('storage', ({ storage }) => {
    if (storage?.state === 'stored') stored.inc();
  });
}
