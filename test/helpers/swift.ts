import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { SettingsOverrides } from './gateway.ts';
import { freePort, ServerProcess } from './server-process.ts';

const PROGRAM = fileURLToPath(new URL('swift-s3.py', import.meta.url));
const PYTHON = '/usr/bin/python3';
const BUCKET = 'films';
const REGION = 'eu-central-1';
const KEY = { id: 'test:gateway', secret: 'SECRET-OF-THE-BUCKET' };

/** OpenStack Swift, an object store with the interface of S3. It checks signatures and MD5, and takes no part below 5 MiB. */
export interface Swift {
  /** For a gateway. The keys are in {@link env}. */
  readonly settings: SettingsOverrides;
  readonly env: Readonly<Record<string, string>>;
  readonly secret: string;
  /** Names of the objects in the bucket. */
  keys(): Promise<string[]>;
  /** Names of the objects that are being uploaded. */
  unfinished(): Promise<string[]>;
  read(key: string): Promise<Buffer>;
  freeze(): void;
  resume(): void;
  kill(): Promise<void>;
  /** Starts it again with what it had. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startSwift(): Promise<Swift> {
  if (!existsSync(PYTHON)) throw new Error(`${PYTHON} is missing: npm run setup`);
  const folder = await mkdtemp(join(tmpdir(), 'swift-'));
  const port = await freePort();
  const server = new ServerProcess(PYTHON, [PROGRAM, folder, String(port), KEY.id.split(':')[1]!, KEY.secret], port);
  await server.start();
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    ...{ endpoint, region: REGION, forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' },
    credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret },
  });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    settings: {
      ...{ s3_bucket: BUCKET, s3_endpoint: endpoint, s3_region: REGION, s3_path_style: true },
      ...{ s3_prefix: 'shows/', s3_part_mb: 5 },
    },
    env: { S3_ACCESS_KEY_ID: KEY.id, S3_SECRET_ACCESS_KEY: KEY.secret },
    secret: KEY.secret,
    async keys() {
      const { Contents: objects = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
      return objects.map(({ Key: key }) => key!);
    },
    async unfinished() {
      const { Uploads: uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
      return uploads.map(({ Key: key }) => key!);
    },
    async read(key) {
      const { Body: body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
      return Buffer.from(await body!.transformToByteArray());
    },
    freeze: () => server.freeze(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    restart: () => server.start(),
    async stop() {
      client.destroy();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
