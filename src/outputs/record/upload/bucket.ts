import type { Readable } from 'node:stream';
import type { UploadedPart } from './part-plan.ts';
import type { UploadFailure } from './upload-state.ts';

/** An object of a bucket. */
export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

export interface ObjectFacts {
  readonly bytes: number;
  /** Without quotes. */
  readonly etag: string;
}

export interface ReadObject {
  /** 200, or 206 for a range. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** `undefined` for HEAD. */
  readonly body: Readable | undefined;
}

/** What recordings need of a bucket. Everything fails with {@link BucketError}, and ends with `signal`. */
export interface Bucket {
  readonly name: string;
  begin(object: ObjectName, contentType: string, signal: AbortSignal): Promise<string>;
  /** @returns the ETag */
  putPart(object: ObjectName, uploadId: string, part: PartBody, signal: AbortSignal): Promise<string>;
  listParts(
    object: ObjectName,
    uploadId: string,
    signal: AbortSignal,
  ): Promise<Pick<UploadedPart, 'number' | 'bytes' | 'etag'>[]>;
  /** @returns the ETag of the object */
  complete(object: ObjectName, uploadId: string, parts: readonly UploadedPart[], signal: AbortSignal): Promise<string>;
  /** Succeeds where there is no such upload. */
  abort(object: ObjectName, uploadId: string, signal: AbortSignal): Promise<void>;
  head(object: ObjectName, signal: AbortSignal): Promise<ObjectFacts>;
  /** Succeeds where there is no such object. */
  delete(object: ObjectName, signal: AbortSignal): Promise<void>;
  /** @param range a value of the header `Range` */
  read(object: ObjectName, range: string | undefined, method: 'GET' | 'HEAD', signal: AbortSignal): Promise<ReadObject>;
  /** A URL from which a client gets the object without credentials. A secret for as long as it is valid. */
  signedUrl(object: ObjectName, method: 'GET' | 'HEAD'): Promise<string>;
  close(): void;
}

export interface PartBody {
  readonly number: number;
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly md5: string;
  readonly stream: Readable;
}

/** Why a bucket did not do something. The message has no secret. */
export class BucketError extends Error {
  readonly failure: UploadFailure | 'range';

  constructor(failure: UploadFailure | 'range', message: string) {
    super(message);
    this.name = 'BucketError';
    this.failure = failure;
  }
}
