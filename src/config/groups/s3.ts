import { z } from 'zod';
import { flag, integer, serverUrl } from '../fields.ts';

/** Recordings in a bucket of S3, or of a server that speaks its protocol. */
export const s3 = {
  /** Empty: recordings stay on the disk. */
  s3_bucket: z
    .string()
    .regex(/^(?:[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])?$/, 'must be the name of a bucket, or empty')
    .default(''),
  /** Empty: as the SDK finds it (`AWS_REGION`, a profile). */
  s3_region: z
    .string()
    .regex(/^[a-z0-9-]{0,40}$/, 'must be a region, such as eu-central-1, or empty')
    .default(''),
  /** Empty: AWS. */
  s3_endpoint: serverUrl.default(''),
  /** `ENDPOINT/BUCKET/KEY` in place of `BUCKET.ENDPOINT/KEY`. */
  s3_path_style: flag.default(false),
  /** Before the names of the files. */
  s3_prefix: z
    .string()
    .regex(
      /^(?:[A-Za-z0-9_.-][A-Za-z0-9_./-]{0,199})?$/,
      'must be letters, digits, "-", "_", "." and "/", must not begin with "/", and may have 200 characters',
    )
    .default(''),
  /** Empty: as the SDK finds them (environment, profile, role of the machine). */
  s3_access_key_id: z.string().default(''),
  s3_secret_access_key: z.string().default(''),
  /** Off: a recording is on the disk and in the bucket. */
  s3_delete_local: flag.default(false),
  /** Clients get the bytes from the bucket itself, by a signed URL. */
  s3_redirect: flag.default(false),
  /** Megabytes of one part of an upload. S3 takes no part below five. */
  s3_part_mb: integer(5, 1024).default(8),
  s3_max_uploads: integer(1, 64).default(4),
  /** Of all uploads together. 0: no limit. */
  s3_max_mbps: integer(0, 1_000_000).default(0),
};
