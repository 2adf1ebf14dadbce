import { createHash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { BucketError, type Bucket, type ObjectName, type PartBody } from '../../src/outputs/record/upload/bucket.ts';
import type { UploadedPart } from '../../src/outputs/record/upload/part-plan.ts';

interface FakeUpload {
  readonly key: string;
  readonly parts: Map<number, Buffer>;
}

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

/** A bucket in memory that makes ETags as S3 does, and fails when it is told to. */
export class FakeBucket implements Bucket {
  readonly name = 'films';
  readonly objects = new Map<string, { bytes: Buffer; etag: string; type: string }>();
  readonly uploads = new Map<string, FakeUpload>();
  /** Successful requests, such as `part 2`. */
  readonly log: string[] = [];
  /** Parts that are being sent, now and at most. */
  readonly sending = { now: 0, most: 0 };
  /** Called before each request; what it throws is its failure. */
  before: (request: string, signal: AbortSignal) => void | Promise<void> = () => undefined;
  /** Called after each request was carried out; what it throws is what the client sees. */
  after: (request: string) => void = () => undefined;
  readonly #types = new Map<string, string>();

  async begin({ key }: ObjectName, type: string, signal: AbortSignal): Promise<string> {
    return this.#request('begin', signal, () => {
      const id = randomUUID();
      this.uploads.set(id, { key, parts: new Map() });
      this.#types.set(id, type);
      return id;
    });
  }

  async putPart(_: ObjectName, uploadId: string, part: PartBody, signal: AbortSignal): Promise<string> {
    this.sending.most = Math.max(this.sending.most, ++this.sending.now);
    try {
      await this.before(`part ${part.number}`, signal);
      const bytes = Buffer.concat(await part.stream.toArray());
      signal.throwIfAborted();
      if (bytes.length !== part.bytes || md5(bytes) !== part.md5) throw new BucketError('other', 'BadDigest');
      this.#upload(uploadId).parts.set(part.number, bytes);
      this.#done(`part ${part.number}`);
      return md5(bytes);
    } finally {
      this.sending.now--;
    }
  }

  async listParts(
    _: ObjectName,
    uploadId: string,
    signal: AbortSignal,
  ): Promise<Pick<UploadedPart, 'number' | 'bytes' | 'etag'>[]> {
    return this.#request('list', signal, () =>
      [...this.#upload(uploadId).parts].map(([number, bytes]) => ({ number, bytes: bytes.length, etag: md5(bytes) })),
    );
  }

  async complete(
    { key }: ObjectName,
    uploadId: string,
    parts: readonly UploadedPart[],
    signal: AbortSignal,
  ): Promise<string> {
    return this.#request('complete', signal, () => {
      const upload = this.#upload(uploadId);
      if (key !== upload.key) throw new BucketError('gone', 'another key');
      const stored = parts.map(({ number, etag }, index) => {
        const bytes = upload.parts.get(number);
        if (number !== index + 1 || !bytes || md5(bytes) !== etag) throw new BucketError('other', 'InvalidPart');
        return bytes;
      });
      const digests = Buffer.concat(stored.map((bytes) => createHash('md5').update(bytes).digest()));
      const etag = `${md5(digests)}-${parts.length}`;
      this.objects.set(key, { bytes: Buffer.concat(stored), etag, type: this.#types.get(uploadId)! });
      this.uploads.delete(uploadId);
      return etag;
    });
  }

  async abort(_: ObjectName, uploadId: string, signal: AbortSignal): Promise<void> {
    return this.#request('abort', signal, () => void this.uploads.delete(uploadId));
  }

  async head({ key }: ObjectName, signal: AbortSignal): Promise<{ bytes: number; etag: string }> {
    return this.#request('head', signal, () => {
      const { bytes, etag } = this.#object(key);
      return { bytes: bytes.length, etag };
    });
  }

  async delete({ key }: ObjectName, signal: AbortSignal): Promise<void> {
    return this.#request('delete', signal, () => void this.objects.delete(key));
  }

  async read({ key }: ObjectName, range: string | undefined, method: 'GET' | 'HEAD', signal: AbortSignal) {
    return this.#request(`read ${range}`, signal, () => {
      const { bytes } = this.#object(key);
      const headers = { 'content-length': String(bytes.length) };
      return { status: 200, headers, body: method === 'HEAD' ? undefined : Readable.from([bytes]) };
    });
  }

  async signedUrl({ key }: ObjectName, method: 'GET' | 'HEAD'): Promise<string> {
    return `https://films.example/${key}?signed=${method}`;
  }

  close(): void {}

  async #request<T>(name: string, signal: AbortSignal, work: () => T): Promise<T> {
    await this.before(name, signal);
    signal.throwIfAborted();
    const result = work();
    this.#done(name);
    return result;
  }

  #done(name: string): void {
    this.log.push(name);
    this.after(name);
  }

  #upload(id: string): FakeUpload {
    const upload = this.uploads.get(id);
    if (!upload) throw new BucketError('gone', 'NoSuchUpload');
    return upload;
  }

  #object(key: string): { bytes: Buffer; etag: string } {
    const object = this.objects.get(key);
    if (!object) throw new BucketError('missing', 'NoSuchKey');
    return object;
  }
}
