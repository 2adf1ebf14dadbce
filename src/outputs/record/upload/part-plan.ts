import { createHash } from 'node:crypto';

/** Which bytes of a file are which part of an upload. Pure. */

/** Limits of S3. */
export const MAX_PARTS = 10_000;
export const MAX_PART_BYTES = 5 * 1024 * 1024 * 1024;

/** A part that the bucket has. */
export interface UploadedPart {
  readonly number: number;
  readonly bytes: number;
  /** As the bucket answered it, without quotes. */
  readonly etag: string;
  /** Of the bytes that were sent, in hexadecimal digits. */
  readonly md5: string;
}

export interface PartRange {
  /** From 1. */
  readonly number: number;
  readonly from: number;
  readonly bytes: number;
}

/** Parts have equal sizes, except the last one: some servers insist on it. */
export const partRange = (number: number, partBytes: number, fileBytes: number): PartRange => {
  const from = (number - 1) * partBytes;
  return { number, from, bytes: Math.max(0, Math.min(partBytes, fileBytes - from)) };
};

export const partCount = (fileBytes: number, partBytes: number): number => Math.ceil(fileBytes / partBytes);

/** The size of parts with which a file of this size has no more than {@link MAX_PARTS}. */
export function fittingPartBytes(fileBytes: number, partBytes: number): number {
  let fitting = partBytes;
  while (partCount(fileBytes, fitting) > MAX_PARTS) fitting *= 2;
  return fitting;
}

/** ETags are compared without quotes and without the mark of weak ones. */
export const plainEtag = (etag: string | undefined): string => (etag ?? '').replaceAll(/^W\/|"/g, '');

/** The ETag of an object that was made of these parts, where the server makes it as S3 does: of their MD5. */
export function multipartEtag(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(md5, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}
