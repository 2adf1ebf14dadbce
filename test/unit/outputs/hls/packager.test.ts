import { EventEmitter } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { Packager } from '../../../../src/outputs/hls/packager.ts';
import { ViewerSessions } from '../../../../src/outputs/hls/viewer-sessions.ts';
import type { RenditionEvents } from '../../../../src/renditions/rendition.ts';
import { ffprobe } from '../../../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../../../helpers/flv-source.ts';
import { readMediaPlaylist } from '../../../helpers/strict-playlist.ts';

const [tags, others] = await Promise.all([
  createFlvTags({ seconds: 30 }),
  createFlvTags({ seconds: 5, size: '160x120' }),
]);
const headerOf = (source: readonly FlvTag[], type: number): FlvTag =>
  source.find((tag) => tag.type === type && tag.sequenceHeader)!;
const mediaOf = (source: readonly FlvTag[]): FlvTag[] =>
  source.filter((tag) => (tag.type === TAG_VIDEO || tag.type === TAG_AUDIO) && !tag.sequenceHeader);
const until = (source: readonly FlvTag[], ms: number): FlvTag[] => source.filter(({ timestamp }) => timestamp < ms);
const delayed = (source: readonly FlvTag[], byMs: number): FlvTag[] =>
  source.map((tag) => ({ ...tag, timestamp: tag.timestamp + byMs }));
const stopped = (): GatewayError => new GatewayError('STREAM_STOPPED', 'stopped');

function setUp(t: Test) {
  const asked = { keyFrames: 0, released: 0 };
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 320, height: 240 },
    videoHeader: headerOf(tags, TAG_VIDEO) as FlvTag | undefined,
    audioHeader: headerOf(tags, TAG_AUDIO),
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => void asked.keyFrames++,
  });
  const lease = { rendition, release: async () => void asked.released++ };
  const environment = { lateGroups: new LateGroups({ overloaded: false }), logger: silentLogger };
  const packager = Packager.start('show', lease, environment);
  t.teardown(() => packager.stop(stopped()));
  const feed = (source: readonly FlvTag[]): void => {
    for (const tag of source) rendition.emit('tags', new TagGroup([tag]));
  };
  const read = async () => readMediaPlaylist(await packager.playlist());
  return { packager, rendition, feed, read, asked };
}

async function frames(packager: Packager, init: number, msns: readonly number[]): Promise<number> {
  const parts: Buffer[] = [packager.init(init)!];
  for (const msn of msns) parts.push(...(await packager.media(msn, undefined))!);
  const folder = await mkdtemp(join(tmpdir(), 'hls-'));
  try {
    const file = join(folder, 'segments.mp4');
    await writeFile(file, Buffer.concat(parts));
    const entries = ['-count_frames', '-select_streams', 'v', file];
    const { streams } = (await ffprobe(entries, 'stream=nb_read_frames')) as { streams: { nb_read_frames: string }[] };
    return Number(streams[0]!.nb_read_frames);
  } finally {
    await rm(folder, { recursive: true });
  }
}

await t.test('every state of a live playlist is valid, and no frame is lost', async (t) => {
  const { packager, feed, read, asked } = setUp(t);
  let checked = 0;
  let last = 0;
  for (const tag of mediaOf(tags)) {
    feed([tag]);
    if (tag.type !== TAG_VIDEO || tag.timestamp < 2100) continue;
    const playlist = await read();
    t.ok(playlist.mediaSequence >= last);
    last = playlist.mediaSequence;
    checked++;
  }
  t.ok(checked > 800);
  t.equal(last, 8, 'six complete segments of two seconds, and the one that is being made');
  t.ok(asked.keyFrames > 0);
  await packager.stop(stopped());
  const playlist = await read();
  t.equal(playlist.ended, true);
  t.ok(playlist.segments.every(({ parts, uri }) => uri && (parts.length === 0 || parts[0]!.independent)));
  const msns = playlist.segments.map(({ msn }) => msn);
  const shown = playlist.segments.reduce((sum, { durationS }) => sum + durationS!, 0);
  t.ok(Math.abs((await frames(packager, 0, msns)) - shown * 30) <= 1, `${shown} s`);
  t.ok(await packager.media(msns[0]! - 3, undefined), 'removed segments stay available for a while');
  t.equal(asked.released, 1);
});

await t.test(
  'a changed format is a discontinuity with an own initialisation section; nothing else is one',
  async (t) => {
    const { packager, rendition, feed, read } = setUp(t);
    feed(until(mediaOf(tags), 5000));
    feed([headerOf(tags, TAG_VIDEO)]);
    rendition.videoHeader = headerOf(others, TAG_VIDEO);
    feed(delayed([headerOf(others, TAG_VIDEO), ...mediaOf(others)], 5000));
    const { segments, discontinuitySequence } = await read();
    t.equal(discontinuitySequence, 0);
    t.equal(segments.filter(({ discontinuity }) => discontinuity).length, 1);
    t.strictSame([...new Set(segments.map(({ map }) => map))], ['init0.mp4', 'init1.mp4']);
    t.match(
      await packager.multivariant('x/index.m3u8'),
      /CODECS="avc1\.[0-9a-f]{6},mp4a\.40\.2",RESOLUTION=160x120\nx\//,
    );
  },
);

await t.test('without frames audio goes on; a gap without anything is a discontinuity', async (t) => {
  const { feed, read } = setUp(t);
  feed(mediaOf(tags).filter(({ type, timestamp }) => type === TAG_AUDIO || timestamp < 3000 || timestamp >= 10_000));
  t.equal(
    (await read()).segments.some(({ discontinuity }) => discontinuity),
    false,
  );
  feed(delayed(until(mediaOf(tags), 3000), 60_000));
  t.equal((await read()).segments.filter(({ discontinuity }) => discontinuity).length, 1);
});

await t.test('a publisher without key frames: segments end in time', async (t) => {
  const { feed, read } = setUp(t);
  feed(mediaOf(tags).filter(({ type, keyFrame, timestamp }) => type === TAG_AUDIO || !keyFrame || timestamp < 500));
  t.ok((await read()).segments.length >= 6);
});

await t.test('audio alone, then video', async (t) => {
  const { rendition, feed, read } = setUp(t);
  const header = rendition.videoHeader;
  Object.assign(rendition, { hasVideo: false, videoHeader: undefined });
  rendition.emit('format');
  feed(until(mediaOf(tags), 5000).filter(({ type }) => type === TAG_AUDIO));
  t.ok((await read()).segments.every(({ parts }) => parts.every(({ independent }) => independent)));
  Object.assign(rendition, { hasVideo: true, videoHeader: header });
  rendition.emit('format');
  feed(delayed(until(mediaOf(tags), 5000), 5000));
  t.equal((await read()).segments.filter(({ discontinuity }) => discontinuity).length, 1);
});

await t.test('blocking reload, hinted parts, and the end', async (t) => {
  const { packager, feed, read } = setUp(t);
  const first = packager.playlist();
  feed(until(mediaOf(tags), 4500));
  readMediaPlaylist(await first);
  const { segments, hint } = await read();
  const { msn, parts } = segments.at(-1)!;
  t.equal(hint, `${msn}.${parts.length}.m4s`);
  const waiting = [
    packager.playlist({ msn, part: parts.length }),
    packager.playlist({ msn: msn + 1, part: undefined }),
  ] as const;
  const part = packager.media(msn, parts.length);
  t.equal(await packager.media(msn, parts.length + 1), undefined, 'a part that was not announced');
  await t.rejects(packager.playlist({ msn: msn + 3, part: undefined }), { code: 'INVALID_REQUEST' });
  feed(mediaOf(tags).filter(({ timestamp }) => timestamp >= 4500 && timestamp < 5000));
  const reloaded = readMediaPlaylist(await waiting[0]);
  t.ok(reloaded.segments.at(-1)!.parts.length > parts.length);
  t.match((await part)![0]!.subarray(4, 8).toString(), 'moof');
  await packager.stop(stopped());
  t.equal(readMediaPlaylist(await waiting[1]).ended, true, 'the end answers those who wait');
});

t.test('sessions: bound to their stream, limited, ended by time', async (t) => {
  const sessions = new ViewerSessions(2);
  const packager = {} as Packager;
  const { token } = sessions.open('a', packager, 5000, 0);
  t.equal(
    await sessions.run(
      token,
      'a',
      () => 1000,
      async () => 'yes',
    ),
    'yes',
  );
  await t.rejects(
    sessions.run(
      token,
      'b',
      () => 1000,
      async () => 1,
    ),
    { code: 'SESSION_NOT_FOUND' },
  );
  await t.rejects(
    sessions.run(
      token,
      'a',
      () => 5000,
      async () => 1,
    ),
    { code: 'TOKEN_EXPIRED' },
  );
  sessions.open('a', packager, undefined, 0);
  t.throws(() => sessions.open('a', packager, undefined, 0), { code: 'LIMIT_REACHED' });
  sessions.sweep(11_000);
  t.equal(sessions.size, 1, 'a client that never played');
  sessions.sweep(40_000);
  t.equal(sessions.isWatched(packager), false);
});
