import { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import {
  BucketError,
  type Bucket,
  type ObjectFacts,
  type ObjectName,
  type PartBody,
  type ReadObject,
} from './bucket.ts';
import { MAX_PARTS, plainEtag, type UploadedPart } from './part-plan.ts';

export interface S3Options {
  readonly bucket: string;
  /** Empty: as the SDK finds it. */
  readonly region: string;
  /** Empty: AWS. */
  readonly endpoint: string;
  readonly pathStyle: boolean;
  /** Undefined: as the SDK finds them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
}

/** Both packages of the SDK. They are loaded only where a bucket is configured. */
const loadSdk = async () => ({
  s3: await import('@aws-sdk/client-s3'),
  presigner: await import('@aws-sdk/s3-request-presigner'),
});
type Sdk = Awaited<ReturnType<typeof loadSdk>>;

const CONNECT_TIMEOUT_MS = 10_000;
/** A film is watched with the URL that it began with. */
const SIGNED_URL_S = 6 * 3600;
/** Servers other than AWS do not look at the region, but it is part of the signature. */
const ANY_REGION = 'us-east-1';
/** Signed URLs and headers are secrets, and the SDK logs more than the gateway may. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** A bucket of S3. Retries are the caller's. */
export class S3Bucket implements Bucket {
  readonly name: string;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  /** For messages. */
  readonly #where: string;

  private constructor(sdk: Sdk, client: S3Client, { bucket, endpoint }: S3Options) {
    this.#sdk = sdk;
    this.#client = client;
    this.name = bucket;
    this.#where = endpoint === '' ? 'AWS' : new URL(endpoint).host;
  }

  static async create(options: S3Options): Promise<S3Bucket> {
    const sdk = await loadSdk();
    const { region, endpoint, pathStyle, credentials } = options;
    const agent = { keepAlive: true, maxSockets: Infinity };
    const client = new sdk.s3.S3Client({
      ...(endpoint !== '' && { endpoint }),
      ...(region !== '' ? { region } : endpoint !== '' && { region: ANY_REGION }),
      ...(credentials && { credentials }),
      forcePathStyle: pathStyle,
      maxAttempts: 1,
      logger: silent,
      // Parts have Content-MD5. Other servers do not know the SDK's own checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, httpAgent: agent, httpsAgent: agent },
    });
    return new S3Bucket(sdk, client, options);
  }

  async begin({ bucket, key }: ObjectName, contentType: string, signal: AbortSignal): Promise<string> {
    const command = new this.#sdk.s3.CreateMultipartUploadCommand({
      ...{ Bucket: bucket, Key: key, ContentType: contentType },
    });
    const { UploadId: uploadId } = await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    if (!uploadId) throw new BucketError('other', `The answer of ${this.#where} has no upload.`);
    return uploadId;
  }

  async putPart(
    { bucket, key }: ObjectName,
    uploadId: string,
    { number, bytes, md5, stream }: PartBody,
    signal: AbortSignal,
  ): Promise<string> {
    const command = new this.#sdk.s3.UploadPartCommand({
      ...{ Bucket: bucket, Key: key, UploadId: uploadId, PartNumber: number, ContentLength: bytes, Body: stream },
      ContentMD5: Buffer.from(md5, 'hex').toString('base64'),
    });
    const { ETag: etag } = await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    return plainEtag(etag);
  }

  async listParts(
    { bucket, key }: ObjectName,
    uploadId: string,
    signal: AbortSignal,
  ): Promise<Pick<UploadedPart, 'number' | 'bytes' | 'etag'>[]> {
    const found: Pick<UploadedPart, 'number' | 'bytes' | 'etag'>[] = [];
    for (let marker: string | undefined; ;) {
      const command = new this.#sdk.s3.ListPartsCommand({
        ...{ Bucket: bucket, Key: key, UploadId: uploadId },
        ...(marker !== undefined && { PartNumberMarker: marker }),
      });
      const answer = await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
      for (const { PartNumber: number = 0, Size: bytes = 0, ETag: etag } of answer.Parts ?? [])
        found.push({ number, bytes, etag: plainEtag(etag) });
      const next = answer.NextPartNumberMarker;
      if (!answer.IsTruncated || next === undefined || next === marker) return found;
      marker = next;
    }
  }

  async complete(
    { bucket, key }: ObjectName,
    uploadId: string,
    parts: readonly UploadedPart[],
    signal: AbortSignal,
  ): Promise<string> {
    const command = new this.#sdk.s3.CompleteMultipartUploadCommand({
      ...{ Bucket: bucket, Key: key, UploadId: uploadId },
      MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` })) },
    });
    const { ETag: etag } = await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    return plainEtag(etag);
  }

  async abort({ bucket, key }: ObjectName, uploadId: string, signal: AbortSignal): Promise<void> {
    const command = new this.#sdk.s3.AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId });
    try {
      await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }

  async head({ bucket, key }: ObjectName, signal: AbortSignal): Promise<ObjectFacts> {
    const command = new this.#sdk.s3.HeadObjectCommand({ Bucket: bucket, Key: key });
    const answer = await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    return { bytes: answer.ContentLength ?? -1, etag: plainEtag(answer.ETag) };
  }

  async delete({ bucket, key }: ObjectName, signal: AbortSignal): Promise<void> {
    const command = new this.#sdk.s3.DeleteObjectCommand({ Bucket: bucket, Key: key });
    try {
      await this.#ask(() => this.#client.send(command, { abortSignal: signal }), signal);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }

  async read(
    { bucket, key }: ObjectName,
    range: string | undefined,
    method: 'GET' | 'HEAD',
    signal: AbortSignal,
  ): Promise<ReadObject> {
    const { GetObjectCommand, HeadObjectCommand } = this.#sdk.s3;
    const input = { Bucket: bucket, Key: key, ...(range !== undefined && { Range: range }) };
    const answer = await this.#ask(
      () =>
        method === 'GET'
          ? this.#client.send(new GetObjectCommand(input), { abortSignal: signal })
          : this.#client.send(new HeadObjectCommand(input), { abortSignal: signal }),
      signal,
    );
    const contentRange = 'ContentRange' in answer ? answer.ContentRange : undefined;
    return {
      status: answer.$metadata.httpStatusCode === 206 ? 206 : 200,
      headers: {
        'accept-ranges': 'bytes',
        'content-length': String(answer.ContentLength ?? 0),
        ...(contentRange !== undefined && { 'content-range': contentRange }),
        ...(answer.ETag !== undefined && { etag: answer.ETag }),
        ...(answer.LastModified && { 'last-modified': answer.LastModified.toUTCString() }),
      },
      body: 'Body' in answer && answer.Body instanceof Readable ? answer.Body : undefined,
    };
  }

  async signedUrl({ bucket, key }: ObjectName, method: 'GET' | 'HEAD'): Promise<string> {
    const { GetObjectCommand, HeadObjectCommand } = this.#sdk.s3;
    const { getSignedUrl } = this.#sdk.presigner;
    const input = { Bucket: bucket, Key: key };
    const options = { expiresIn: SIGNED_URL_S };
    return this.#ask(() =>
      method === 'GET'
        ? getSignedUrl(this.#client, new GetObjectCommand(input), options)
        : getSignedUrl(this.#client, new HeadObjectCommand(input), options),
    );
  }

  close(): void {
    this.#client.destroy();
  }

  /** Errors of the SDK contain headers and signatures, so only their names leave this file. */
  async #ask<T>(request: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await request();
    } catch (error) {
      if (signal?.aborted && signal.reason instanceof BucketError) throw signal.reason;
      throw toBucketError(error as SdkError, this.name, this.#where);
    }
  }
}

interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const isAbsence = (error: unknown): boolean =>
  error instanceof BucketError && (error.failure === 'gone' || error.failure === 'missing');

const CREDENTIALS_REMEDY =
  'Set s3_access_key_id and s3_secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.';

/** Exported for tests. */
export function toBucketError({ name = '', code, $metadata }: SdkError, bucket: string, where: string): BucketError {
  const status = $metadata?.httpStatusCode;
  // Names of errors come from the server.
  const shown = /^\w{1,60}$/.test(name) ? name : 'an error';
  if (name === 'CredentialsProviderError')
    return new BucketError('denied', `There are no credentials for the bucket ${bucket}. ${CREDENTIALS_REMEDY}`);
  if (name === 'AbortError') return new BucketError('other', `The request to ${where} was ended.`);
  if (status === undefined)
    return new BucketError('other', `${where} cannot be reached (${/^\w{1,60}$/.test(code ?? '') ? code : shown}).`);
  const answer = `${where} answered ${status} ${shown} for the bucket ${bucket}.`;
  if (status === 416) return new BucketError('range', answer);
  if (name === 'NoSuchUpload') return new BucketError('gone', answer);
  if (name === 'NoSuchBucket') return new BucketError('other', `${answer} Create it, or correct s3_bucket.`);
  if (status === 404) return new BucketError('missing', answer);
  if (status === 401 || status === 403)
    return new BucketError('denied', `${answer} Check the keys, and the rights that docs/recording.md lists.`);
  if (status === 301 || name === 'PermanentRedirect' || name === 'AuthorizationHeaderMalformed')
    return new BucketError('other', `${answer} Check s3_region and s3_endpoint.`);
  if (name === 'InvalidArgument')
    return new BucketError('argument', `${answer} If it takes fewer than ${MAX_PARTS} parts, raise s3_part_mb.`);
  return new BucketError('other', answer);
}
