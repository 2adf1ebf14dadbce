import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { flvHeader, flvTagParts } from '../../src/media/containers/flv-writer.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { LateGroups } from '../../src/outputs/late-groups.ts';
import type { RecordFormat } from '../../src/outputs/record/container.ts';
import { finishFile } from '../../src/outputs/record/finish-file.ts';
import { Posters } from '../../src/outputs/record/posters.ts';
import { createNewFile } from '../../src/outputs/record/record-file.ts';
import { Recorders } from '../../src/outputs/record/recorders.ts';
import { Recordings } from '../../src/outputs/record/recordings.ts';
import { Uploads } from '../../src/outputs/record/upload/uploads.ts';
import type { EncoderPool } from '../../src/renditions/encoder-pool.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { GatewayError } from '../../src/errors.ts';
import { decodeAll, ffprobe } from '../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** A process that records is killed at a random moment. The next one completes its file. */

t.setTimeout(FILE_TIMEOUT);
const LONG = process.env['LONG_TESTS'] === '1';
const RUNS = LONG ? 100 : 6;
const AT_ONCE = 3;
const MAX_LOSS_MS = 1000;
const PROGRAM = fileURLToPath(new URL('../helpers/recorder-main.ts', import.meta.url));

const root = await mkdtemp(join(tmpdir(), 'recording-crash-'));
t.teardown(() => rm(root, { recursive: true }));
const tagFile = join(root, 'tags.flv');
const tags = await createFlvTags({ seconds: 4 });
const bytesOf = tags.map((tag) => {
  const { head, tail } = flvTagParts(tag);
  return Buffer.concat([head, tag.data, tail]);
});
await writeFile(tagFile, Buffer.concat([flvHeader({ audio: true, video: true }), ...bytesOf]));

/** @returns the time of the latest media that the recorder was given */
async function recordAndKill(folder: string, format: RecordFormat): Promise<number> {
  const child = spawn(process.execPath, [PROGRAM, folder, tagFile, format], { stdio: ['ignore', 'pipe', 'inherit'] });
  let lines = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (lines += text));
  const givenMs = (): number => Number(lines.trimEnd().split('\n').at(-1));
  const untilMs = 700 + Math.random() * 2500;
  await waitFor('media', () => givenMs() >= untilMs, { every: 5 });
  child.kill('SIGKILL');
  await once(child, 'close');
  return givenMs();
}

async function recover(folder: string): Promise<Recordings> {
  const store = await SqliteStore.create(join(folder, 'state.db'), { logger: silentLogger });
  const recordings = await Recordings.create(folder, store, silentLogger);
  const recorders = Recorders.create({
    ...{ enabled: false, all: false, recordings, maxRecorders: 1, audio: 'aac', minFreeBytes: 0, logger: silentLogger },
    registry: new StreamRegistry({ resumeWindowMs: 0, maxStreams: 1 }),
    encoders: undefined as unknown as EncoderPool,
    environment: {
      ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format: 'mp4', template: '{id}' },
      ...{
        maxFileBytes: 0,
        maxFileMs: 0,
        standby: false,
        openFile: createNewFile,
        finish: finishFile,
        logger: silentLogger,
      },
    },
    posters: await Posters.create({
      ...{ recordings, maxFrameSize: { width: 1920, height: 1080 }, maxDecodes: 1, logger: silentLogger },
    }),
    uploads: Uploads.none({ recordings, store, logger: silentLogger }),
    retention: { keepMs: 0, maxTotalBytes: 0 },
    freeBytes: async () => Infinity,
  });
  await recorders.close(new GatewayError('SHUTTING_DOWN', 'closing'));
  await store.close();
  return recordings;
}

async function oneRun(t: Test, run: number): Promise<void> {
  const format = run % 3 === 2 ? 'flv' : 'mp4';
  const folder = await mkdtemp(join(root, 'run-'));
  const givenMs = await recordAndKill(folder, format);
  const [recording, ...others] = (await recover(folder)).all();
  const name = `run ${run} (${format})`;
  t.strictSame(others, [], name);
  t.equal(recording?.state, 'complete', name);
  const lostMs = givenMs - recording!.durationMs;
  t.ok(lostMs <= MAX_LOSS_MS, `${name}: ${lostMs} of ${givenMs} ms were lost`);
  const file = join(folder, recording!.file);
  const { format: probed } = (await ffprobe([file], 'format=duration')) as { format: { duration: string } };
  t.ok(Math.abs(Number(probed.duration) * 1000 - recording!.durationMs) < 60, `${name}: ${probed.duration} s`);
  await decodeAll(['-i', file]);
  t.strictSame((await recover(folder)).all(), [recording], `${name}: the next start changes nothing`);
}

await t.test(`${RUNS} kills at random moments`, async (t) => {
  const runs = Array.from({ length: RUNS }, (_, run) => run);
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let run; (run = runs.shift()) !== undefined;) await oneRun(t, run);
    }),
  );
});
