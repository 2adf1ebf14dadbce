import { EventEmitter } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { finishFile } from '../../../../src/outputs/record/finish-file.ts';
import { createNewFile, type OpenFile, type WritableFile } from '../../../../src/outputs/record/record-file.ts';
import { Recorder, type RecorderEnvironment } from '../../../../src/outputs/record/recorder.ts';
import { Recordings } from '../../../../src/outputs/record/recordings.ts';
import type { Rendition, RenditionEvents } from '../../../../src/renditions/rendition.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import { decodeAll, ffprobe, frameHashes } from '../../../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../../../helpers/flv-source.ts';

const [tags, level, ids, bFrames, others, again] = await Promise.all([
  createFlvTags({ seconds: 3 }),
  createFlvTags({ seconds: 3, x264: 'level=42' }),
  createFlvTags({ seconds: 3, x264: 'sps-id=1' }),
  createFlvTags({ seconds: 3, bFrames: true, preset: 'medium' }),
  createFlvTags({ seconds: 2, size: '160x120' }),
  // Other parameter sets for the same size.
  createFlvTags({ seconds: 2, videoBitrate: '300k', preset: 'medium' }),
]);
const headerOf = (source: readonly FlvTag[], type: number): FlvTag =>
  source.find((tag) => tag.type === type && tag.sequenceHeader)!;
const mediaOf = (source: readonly FlvTag[]): FlvTag[] =>
  source.filter((tag) => (tag.type === TAG_VIDEO || tag.type === TAG_AUDIO) && !tag.sequenceHeader);
const framesOf = (source: readonly FlvTag[]): number => mediaOf(source).filter(({ type }) => type === TAG_VIDEO).length;
const delayed = (source: readonly FlvTag[], byMs: number): FlvTag[] =>
  source.map((tag) => ({ ...tag, timestamp: tag.timestamp + byMs }));
const stopped = (): GatewayError => new GatewayError('STREAM_STOPPED', 'stopped');

async function setUp(t: Test, changes: Partial<RecorderEnvironment> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'recorder-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const recordings = await Recordings.create(folder, new MemoryStore({ logger: silentLogger }), silentLogger);
  let released = 0;
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 320, height: 240 },
    videoHeader: headerOf(tags, TAG_VIDEO) as FlvTag | undefined,
    audioHeader: headerOf(tags, TAG_AUDIO),
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => undefined,
  });
  const recorder = Recorder.start(
    'show',
    { rendition: rendition satisfies Rendition, release: async () => void released++ },
    {
      ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format: 'mp4', template: '{stream}-{id}' },
      ...{
        maxFileBytes: 0,
        maxFileMs: 0,
        standby: false,
        openFile: createNewFile,
        finish: finishFile,
        logger: silentLogger,
      },
      ...changes,
    },
  );
  await immediate();
  await immediate();
  const feed = (source: readonly FlvTag[]): void => {
    for (const tag of source) rendition.emit('tags', new TagGroup([tag]));
  };
  const frames = async (file: string): Promise<number> => {
    const entries = ['-count_frames', '-select_streams', 'v', join(folder, file)];
    const { streams } = (await ffprobe(entries, 'stream=nb_read_frames')) as { streams: { nb_read_frames: string }[] };
    return Number(streams[0]!.nb_read_frames);
  };
  return { folder, recordings, recorder, rendition, feed, frames, released: () => released };
}

await t.test('all frames of a stream, from its first key frame on', async (t) => {
  const { recordings, recorder, feed, frames, released } = await setUp(t);
  t.equal(recorder.status, 'waiting');
  t.equal(recorder.firstFile, undefined);
  feed(mediaOf(tags).slice(3, 20));
  t.strictSame(recordings.all(), [], 'no file before there is a key frame');
  feed(delayed(mediaOf(tags), 1000));
  const file = recorder.firstFile!;
  t.match(recordings.byFile(file), { state: 'recording', width: 320, height: 240, part: 1 });
  await recorder.stop(stopped());
  const [recording] = recordings.all();
  t.match(recording, { state: 'complete', reasonCode: 'STREAM_STOPPED', framesDropped: 0 });
  t.ok(Math.abs(recording!.durationMs - 3000) < 60, `${recording!.durationMs} ms`);
  t.equal(await frames(file), framesOf(tags));
  t.equal(released(), 1);
  t.equal(recorder.counters.bytesSent > 10_000, true);
  await recorder.stop(stopped());
  t.equal(released(), 1, 'stopping twice');
});

await t.test('another size begins the next file; an equal header does not', async (t) => {
  const { recordings, recorder, rendition, feed, frames } = await setUp(t);
  feed(mediaOf(tags));
  rendition.videoHeader = headerOf(others, TAG_VIDEO);
  feed([headerOf(tags, TAG_VIDEO), ...delayed([headerOf(others, TAG_VIDEO), ...mediaOf(others)], 3000)]);
  await recorder.stop(stopped());
  const [first, second] = recordings.all();
  t.match(
    [first, second],
    [
      { part: 1, state: 'complete' },
      { part: 2, state: 'complete' },
    ],
  );
  t.equal(second!.series, first!.id);
  t.equal(second!.file, first!.file.replace('.mp4', '-0002.mp4'));
  t.strictSame([await frames(first!.file), await frames(second!.file)], [framesOf(tags), framesOf(others)]);
});

for (const format of ['mp4', 'flv'] as const)
  await t.test(
    `standby, ${format}: other parameters of the same size stay in the file, and each key frame has its own`,
    async (t) => {
      const { folder, recordings, recorder, rendition, feed, frames } = await setUp(t, { format, standby: true });
      t.equal(recorder.outlivesStream, true);
      feed(mediaOf(tags));
      feed(delayed([headerOf(again, TAG_VIDEO), ...mediaOf(again)], 3000));
      feed(delayed([headerOf(tags, TAG_VIDEO), ...mediaOf(tags)], 5000));
      feed(delayed([headerOf(others, TAG_VIDEO), ...mediaOf(others)], 8000));
      rendition.emit('failed', new GatewayError('PUBLISHER_LOST', 'There was no publisher for 600 s.'));
      await recorder.stop(stopped());
      const [first, second, third] = recordings.all();
      t.match(
        [first, second],
        [
          { part: 1, state: 'complete' },
          { part: 2, state: 'complete', reasonCode: 'PUBLISHER_LOST' },
        ],
      );
      t.match(second!.reason, /standby_hold_ms/);
      t.equal(third, undefined);
      t.equal(await frames(first!.file), 2 * framesOf(tags) + framesOf(again));
      t.equal(await frames(second!.file), framesOf(others), 'another size begins the next file');
      for (const from of ['0', '1.5', '3.5', '4.5', '6.5'])
        await t.resolves(decodeAll(['-ss', from, '-i', join(folder, first!.file), '-an']), `decodes from ${from} s on`);
      const { streams } = (await ffprobe([join(folder, first!.file)], 'stream=codec_tag_string,codec_type')) as {
        streams: { codec_type: string; codec_tag_string: string }[];
      };
      if (format === 'mp4') t.equal(streams.find(({ codec_type }) => codec_type === 'video')!.codec_tag_string, 'avc3');
    },
  );

for (const [what, other] of Object.entries({ level, ids }))
  for (const format of ['mp4', 'flv'] as const)
    await t.test(`${what} of the parameter sets changes with each key frame, ${format}: one file`, async (t) => {
      const { folder, recordings, recorder, feed, frames } = await setUp(t, { format });
      for (const [second, source] of [tags, other, tags].entries())
        feed([
          headerOf(source, TAG_VIDEO),
          ...mediaOf(source).filter(({ timestamp }) => Math.floor(timestamp / 1000) === second),
        ]);
      await recorder.stop(stopped());
      t.equal(recordings.all().length, 1);
      const { file } = recordings.all()[0]!;
      t.equal(await frames(file), 90);
      const hashes = await frameHashes(['-i', join(folder, file), '-map', '0:v']);
      t.equal(new Set(hashes).size, 90);
      if (format !== 'mp4') return;
      const { streams } = (await ffprobe(['-select_streams', 'v', join(folder, file)], 'stream=codec_tag_string')) as {
        streams: { codec_tag_string: string }[];
      };
      t.equal(streams[0]!.codec_tag_string, 'avc3');
      await decodeAll(['-err_detect', 'explode', '-xerror', '-i', join(folder, file)]);
    });

await t.test('B-frames: a file shows each frame when the source does, to the last one', async (t) => {
  const { folder, recordings, recorder, rendition, feed } = await setUp(t);
  rendition.videoHeader = headerOf(bFrames, TAG_VIDEO);
  feed(mediaOf(bFrames));
  await recorder.stop(stopped());
  const [recording] = recordings.all();
  const args = ['-select_streams', 'v', join(folder, recording!.file)];
  const { packets } = (await ffprobe(args, 'packet=pts_time')) as { packets: { pts_time: string }[] };
  const video = mediaOf(bFrames).filter(({ type }) => type === TAG_VIDEO);
  const expected = video.map(({ timestamp, data }) => timestamp - video[0]!.timestamp + data.readIntBE(2, 3));
  t.equal(packets.length, expected.length);
  for (const [index, { pts_time }] of packets.entries())
    if (Math.abs(Number(pts_time) * 1000 - expected[index]!) > 1) t.fail(`${pts_time} s, not ${expected[index]} ms`);
  t.ok(recording!.durationMs >= Math.max(...expected) + 30, `${recording!.durationMs} ms`);
  t.equal((await frameHashes(['-i', join(folder, recording!.file), '-map', '0:v'])).length, expected.length);
});

await t.test('a rendition that fails in standby fails the recording', async (t) => {
  const { recordings, recorder, rendition, feed } = await setUp(t, { standby: true });
  feed(mediaOf(tags));
  rendition.emit('failed', new GatewayError('ENCODER_FAILED', 'the encoder ended'));
  await recorder.stop(stopped());
  t.match(recordings.all(), [{ state: 'failed', reasonCode: 'ENCODER_FAILED' }]);
});

await t.test('a file that is long enough is followed by the next one, at a key frame', async (t) => {
  const { recordings, recorder, feed, frames } = await setUp(t, { maxFileMs: 900 });
  feed(mediaOf(tags));
  await recorder.stop(stopped());
  t.strictSame(
    recordings.all().map(({ part }) => part),
    [1, 2, 3],
  );
  for (const { file } of recordings.all()) t.equal(await frames(file), 30);
});

await t.test('audio alone, and video that follows', async (t) => {
  const { recordings, recorder, rendition, feed } = await setUp(t);
  Object.assign(rendition, { hasVideo: false, videoHeader: undefined });
  const audio = mediaOf(tags).filter(({ type }) => type === TAG_AUDIO);
  feed(audio);
  Object.assign(rendition, { hasVideo: true, videoHeader: headerOf(tags, TAG_VIDEO) });
  feed(
    delayed(
      tags.filter(({ sequenceHeader, type }) => !sequenceHeader && type !== 18),
      3000,
    ),
  );
  // The feed joins again at the next key frame.
  feed(delayed(mediaOf(tags), 6000));
  await recorder.stop(stopped());
  t.match(recordings.all(), [
    { part: 1, width: 0, state: 'complete' },
    { part: 2, width: 320, state: 'complete' },
  ]);
});

/** A disk that takes `room` bytes. */
const smallDisk =
  (room: number): OpenFile =>
  async (path) => {
    const file = await createNewFile(path);
    return {
      write: async (bytes, offset, length, position) => {
        if (position + length > room) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        return file.write(bytes, offset, length, position);
      },
      close: () => file.close(),
    };
  };

await t.test('a disk that is full ends the recording; what was written can be played', async (t) => {
  const { recordings, recorder, feed, frames, released } = await setUp(t, { openFile: smallDisk(100_000) });
  feed(mediaOf(tags));
  await new Promise<void>((resolve) => recorder.once('closed', resolve));
  t.equal(recorder.failure?.code, 'DISK_FULL');
  const [recording] = recordings.all();
  t.match(recording, { state: 'failed', reasonCode: 'DISK_FULL' });
  t.ok((await frames(recording!.file)) > 15);
  t.equal(released(), 1);
  feed(mediaOf(tags));
  t.equal(recordings.all().length, 1);
});

await t.test('a file that cannot be made', async (t) => {
  const { recordings, recorder, feed } = await setUp(t, {
    openFile: () => Promise.reject(Object.assign(new Error('read-only'), { code: 'EROFS' })),
  });
  feed(mediaOf(tags));
  await new Promise<void>((resolve) => recorder.once('closed', resolve));
  t.match(recordings.all(), [{ state: 'failed', reasonCode: 'DISK_FAILED', reason: /EROFS/ }]);
});

await t.test('a disk that does not answer costs bounded memory, and whole groups of frames', async (t) => {
  const gate = Promise.withResolvers<void>();
  let open: WritableFile | undefined;
  const { recordings, recorder, feed, frames } = await setUp(t, {
    openFile: async (path) => {
      const file = (open = await createNewFile(path));
      return {
        write: async (...all) => {
          await gate.promise;
          return file.write(...all);
        },
        close: () => file.close(),
      };
    },
  });
  const big = mediaOf(tags).map((tag) =>
    tag.type === TAG_VIDEO ? { ...tag, data: Buffer.concat([tag.data, filler(200_000)]) } : tag,
  );
  for (let round = 0; round < 5; round++) feed(delayed(big, round * 3000));
  t.ok(recorder.counters.framesDropped > 30, `${recorder.counters.framesDropped} frames dropped`);
  t.equal(recorder.writable, false);
  gate.resolve();
  await recorder.stop(stopped());
  t.ok(open);
  const [recording] = recordings.all();
  t.match(recording, { state: 'complete' });
  t.ok(recording!.framesDropped > 30);
  t.ok((await frames(recording!.file)) > 30, 'it decodes: only whole groups are missing');
});

/** A NAL unit of filler data. */
function filler(bytes: number): Buffer {
  const unit = Buffer.alloc(bytes, 0xff);
  unit.writeUInt32BE(bytes - 4);
  unit[4] = 12;
  unit[bytes - 1] = 0x80;
  return unit;
}

await t.test('a rendition that fails, and a header that is not valid', async (t) => {
  const one = await setUp(t);
  one.feed(mediaOf(tags));
  one.rendition.emit('failed', new GatewayError('ENCODER_FAILED', 'died'));
  await new Promise<void>((resolve) => one.recorder.once('closed', resolve));
  t.match(one.recordings.all(), [{ state: 'failed', reasonCode: 'ENCODER_FAILED' }]);
  t.equal(await one.frames(one.recorder.firstFile!), framesOf(tags), 'with all frames');

  const other = await setUp(t);
  other.rendition.videoHeader = { ...headerOf(tags, TAG_VIDEO), data: Buffer.alloc(30) };
  other.feed(mediaOf(tags));
  await new Promise<void>((resolve) => other.recorder.once('closed', resolve));
  t.equal(other.recorder.failure?.code, 'ENCODER_FAILED');
  t.strictSame(await readdir(other.folder), []);
});

await t.test('a disk that is nearly full ends recordings properly', async (t) => {
  const { recordings, recorder, feed, frames } = await setUp(t);
  feed(mediaOf(tags));
  recorder.fail(new GatewayError('DISK_FULL', 'nearly full'));
  await new Promise<void>((resolve) => recorder.once('closed', resolve));
  t.match(recordings.all(), [{ state: 'failed', reasonCode: 'DISK_FULL', durationMs: Number }]);
  t.equal(await frames(recorder.firstFile!), framesOf(tags));
});
