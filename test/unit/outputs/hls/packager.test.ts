import { EventEmitter } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { Ladder, type Rung } from '../../../../src/outputs/hls/ladder.ts';
import { Packager, type PackagerEnvironment } from '../../../../src/outputs/hls/packager.ts';
import { Timeline } from '../../../../src/outputs/hls/timeline.ts';
import { ViewerSessions } from '../../../../src/outputs/hls/viewer-sessions.ts';
import type { RenditionEvents } from '../../../../src/renditions/rendition.ts';
import { ffprobe } from '../../../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../../../helpers/flv-source.ts';
import { readMediaPlaylist } from '../../../helpers/strict-playlist.ts';
import { waitFor } from '../../../helpers/wait.ts';

const [tags, others, again] = await Promise.all([
  createFlvTags({ seconds: 30 }),
  createFlvTags({ seconds: 5, size: '160x120' }),
  createFlvTags({ seconds: 5, videoBitrate: '300k', preset: 'medium' }),
]);
const headerOf = (source: readonly FlvTag[], type: number): FlvTag =>
  source.find((tag) => tag.type === type && tag.sequenceHeader)!;
const mediaOf = (source: readonly FlvTag[]): FlvTag[] =>
  source.filter((tag) => (tag.type === TAG_VIDEO || tag.type === TAG_AUDIO) && !tag.sequenceHeader);
const until = (source: readonly FlvTag[], ms: number): FlvTag[] => source.filter(({ timestamp }) => timestamp < ms);
const delayed = (source: readonly FlvTag[], byMs: number): FlvTag[] =>
  source.map((tag) => ({ ...tag, timestamp: tag.timestamp + byMs }));
const stopped = (): GatewayError => new GatewayError('STREAM_STOPPED', 'stopped');

function setUp(t: Test, more: Partial<PackagerEnvironment> = {}) {
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
  const environment = { lateGroups: new LateGroups({ overloaded: false }), logger: silentLogger, ...more };
  const role = { timeline: new Timeline(), leads: true, pastRuns: 0, onRun: () => undefined };
  const packager = Packager.create('show', lease, environment, role);
  packager.start();
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
    t.match(await packager.variant(), { codecs: [/^avc1\.[0-9a-f]{6}$/, 'mp4a.40.2'], width: 160, height: 120 });
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

await t.test(
  'DVR: older segments are on the disk, playlists leave them out on request, the end deletes them',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hls-dvr-'));
    t.teardown(() => rm(folder, { recursive: true }));
    const dvr = { dvrMs: 60_000, folder, minFreeBytes: 0, logger: silentLogger };
    const { packager, feed, read } = setUp(t, { dvr });
    for (let round = 0; round < 3; round++) {
      feed(delayed(mediaOf(tags), round * 30_000));
      await waitFor(
        'the segments on the disk',
        async () => (await readdir(join(folder, packager.id))).length >= 14 * (round + 1),
      );
    }
    const whole = await read();
    const totalS = whole.segments.reduce((sum, { durationS = 0 }) => sum + durationS, 0);
    t.ok(totalS >= 60 && totalS < 66, `${totalS} s in the playlist`);
    t.equal(whole.skipped, 0);
    t.ok(packager.bytesHeld < 3_000_000, `${packager.bytesHeld} bytes in memory`);
    const delta = readMediaPlaylist(await packager.playlist(undefined, true));
    t.equal(delta.mediaSequence, whole.mediaSequence);
    t.ok(delta.skipped > 15, `${delta.skipped} segments left out`);
    t.strictSame(delta.segments, whole.segments.slice(delta.skipped), 'what is left is the same');
    const first = whole.segments[0]!.msn;
    t.ok((await frames(packager, 0, [first, first + 1])) >= 100, 'from the disk');
    await rm(join(folder, packager.id, `${first}.m4s`));
    t.equal(await packager.media(first, undefined), undefined, 'a file that is missing');
    feed(delayed(mediaOf(tags), 90_000));
    feed(delayed(mediaOf(tags), 120_000));
    await waitFor('old segments to be deleted', async () => (await readdir(join(folder, packager.id))).length <= 66);
    await packager.stop(stopped());
    t.equal((await read()).ended, true);
    await packager.dispose();
    t.strictSame(await readdir(folder), []);
  },
);

await t.test('DVR on a disk that takes nothing: the window is that of the memory', async (t) => {
  const dvr = { dvrMs: 600_000, folder: '/dev/null/hls', minFreeBytes: 0, logger: silentLogger };
  const { packager, feed, read } = setUp(t, { dvr });
  for (let round = 0; round < 3; round++) {
    feed(delayed(mediaOf(tags), round * 30_000));
    await immediate();
  }
  t.ok((await read()).segments.length <= 28, 'bounded');
  t.ok(await packager.media((await read()).segments[0]!.msn, undefined));
  await packager.stop(stopped());
  await packager.dispose();
});

/** Where the audio of a segment begins, by its first fragment that has some: the `tfdt` of the second track. */
async function audioStart(packager: Packager, msn: number): Promise<bigint> {
  const bytes = Buffer.concat((await packager.media(msn, undefined))!);
  const first = bytes.indexOf('tfdt', 0, 'latin1');
  return bytes.readBigUInt64BE(bytes.indexOf('tfdt', first + 4, 'latin1') + 8);
}

/** A ladder whose lower quality has the same tags, later. */
function setUpLadder(t: Test, rungs: readonly Rung[], refuse = false) {
  const make = () =>
    Object.assign(new EventEmitter<RenditionEvents>(), {
      metadata: { width: 320, height: 240 },
      videoHeader: headerOf(tags, TAG_VIDEO) as FlvTag | undefined,
      audioHeader: headerOf(tags, TAG_AUDIO),
      hasVideo: true,
      recent: undefined,
      requestKeyFrame: () => undefined,
    });
  const [source, lower] = [make(), Object.assign(make(), { videoHeader: headerOf(others, TAG_VIDEO) })];
  const environment = { lateGroups: new LateGroups({ overloaded: false }), logger: silentLogger };
  let released = 0;
  const leaseOf = (rendition: typeof source) => ({ rendition, release: async () => void released++ });
  const ladder = Ladder.start('show', leaseOf(source), environment, {
    rungs,
    acquire: async () => {
      if (refuse) throw new GatewayError('LIMIT_REACHED', 'no encoder is left');
      return leaseOf(lower);
    },
  });
  t.teardown(() => ladder.stop(stopped()));
  const emit = (rendition: typeof source, sent: readonly FlvTag[]): void => {
    for (const tag of sent) rendition.emit('tags', new TagGroup([tag]));
  };
  return { ladder, source, lower, emit, released: () => released };
}

await t.test('a ladder: one timeline, the same discontinuities', async (t) => {
  const { ladder, source, lower, emit, released } = setUpLadder(t, [
    { height: 120, kbps: 300 },
    { height: 720, kbps: 2500 },
  ]);
  /** Its video is behind its audio by the delay of the encoder. */
  const late = (sent: readonly FlvTag[]): FlvTag[] => {
    const dueMs = ({ type, timestamp }: FlvTag) => timestamp + (type === TAG_VIDEO ? 150 : 0);
    return sent.toSorted((one, other) => dueMs(one) - dueMs(other));
  };
  const feed = async (sent: readonly FlvTag[]): Promise<void> => {
    emit(source, sent);
    await immediate();
    emit(lower, late(sent));
  };
  await feed(until(mediaOf(tags), 200));
  await feed(mediaOf(tags).filter(({ timestamp }) => timestamp >= 200 && timestamp < 9000));
  const playlist = await ladder.multivariant((name) => `t/${name ?? 'source'}`);
  t.match(playlist, /RESOLUTION=320x240\nt\/source\n.*BANDWIDTH=\d+,CODECS="avc1[^"]+",RESOLUTION=160x120\nt\/120\n$/);
  t.notMatch(playlist, /t\/720/, 'nothing is scaled up');
  // Other parameters at the source alone.
  source.videoHeader = headerOf(again, TAG_VIDEO);
  emit(source, delayed([headerOf(again, TAG_VIDEO), ...mediaOf(again)], 9000));
  await immediate();
  emit(lower, late(delayed(mediaOf(again), 9000)));
  const read = async (name?: string) =>
    readMediaPlaylist(await ladder.quality(name)!.playlist(undefined, false, () => ladder.reportsFor(name)));
  const [first, second] = [await read(), await read('120')];
  const marks = ({ segments }: typeof first) =>
    segments.filter(({ discontinuity }) => discontinuity).map(({ dateMs }) => dateMs);
  t.equal(marks(first).length, 1);
  t.strictSame(marks(second), marks(first), 'at the same time');
  const dates = new Set(first.segments.map(({ dateMs }) => dateMs));
  t.ok(second.segments.filter(({ dateMs }) => dates.has(dateMs)).length >= 4, 'segments begin at the same times');
  const endOf = ({ segments }: typeof first) => {
    const { msn, parts } = segments.at(-1)!;
    return { msn, part: parts.length - 1 };
  };
  t.strictSame(first.reports, [{ uri: '120/index.m3u8', ...endOf(second) }]);
  t.strictSame(second.reports, [{ uri: '../index.m3u8', ...endOf(first) }]);
  const common = first.segments.find(({ dateMs, uri }) => uri && second.segments.some((one) => one.dateMs === dateMs))!;
  const twin = second.segments.find(({ dateMs }) => dateMs === common.dateMs)!;
  const starts = [
    await audioStart(ladder.quality(undefined)!, common.msn),
    await audioStart(ladder.quality('120')!, twin.msn),
  ];
  // The encoder is 150 ms behind. A frame of AAC has 21 ms, and the latest one waits for the next.
  const apartMs = Math.abs(Number(starts[0]! - starts[1]!)) / 48;
  t.ok(apartMs < 45, `the audio of segments of the same time begins within ${apartMs} ms`);
  t.equal(ladder.quality('720'), undefined);
  lower.emit('failed', new GatewayError('ENCODER_FAILED', 'it ended'));
  t.throws(() => ladder.quality('120'), { code: 'ENCODER_FAILED' });
  t.equal(ladder.status, 'packaging');
  t.notMatch(await ladder.multivariant((name) => `t/${name ?? 'source'}`), /t\/120/);
  await ladder.stop(stopped());
  t.equal(released(), 2);
});

await t.test('a quality that is refused leaves the others playing', async (t) => {
  const { ladder, source, emit } = setUpLadder(t, [{ height: 120, kbps: 300 }], true);
  emit(source, until(mediaOf(tags), 3000));
  t.equal((await ladder.multivariant((name) => name ?? 'source')).trim().split('\n').length, 4);
});

const viewer = (address: string, principal?: string) => ({ address, principal });

t.test('sessions of one address and of one principal are limited; unused ones of the client go first', async (t) => {
  const sessions = new ViewerSessions({ total: 6, perClient: 2 });
  const ladder = {} as Ladder;
  const open = (...who: Parameters<typeof viewer>) => sessions.open('a', ladder, undefined, 0, viewer(...who));
  const use = ({ token }: { token: string }) => sessions.run(token, 'a', Date.now, async () => undefined);
  const [first, second] = [open('1'), open('1')];
  open('1');
  t.equal(sessions.has(first.token, 'a'), false, 'the longest unused one has made room');
  t.equal(sessions.has(second.token, 'a'), true);
  t.equal(sessions.has(second.token, 'b'), false);
  t.equal(sessions.size, 2);
  for (let flood = 0; flood < 1000; flood++) open('1');
  t.equal(sessions.size, 2);
  await use(open('2'));
  await use(open('2'));
  t.throws(() => open('2'), { code: 'LIMIT_REACHED', message: /max_hls_viewers_per_client/ }, 'used ones stay');
  await use(open('3', 'p'));
  await use(open('4', 'p'));
  t.throws(() => open('5', 'p'), { code: 'LIMIT_REACHED', message: /max_hls_viewers_per_client/ });
  t.throws(() => open('5', 'q'), { code: 'LIMIT_REACHED', message: /\(max_hls_viewers\)/ }, 'others do not make room');
  open('1');
});

t.test('sessions: bound to their stream, limited, ended by time', async (t) => {
  const sessions = new ViewerSessions({ total: 2, perClient: 2 });
  const ladder = {} as Ladder;
  const { token } = sessions.open('a', ladder, 5000, 0, viewer('1'));
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
  sessions.open('a', ladder, undefined, 0, viewer('2'));
  t.throws(() => sessions.open('a', ladder, undefined, 0, viewer('3')), { code: 'LIMIT_REACHED' });
  sessions.sweep(11_000);
  t.equal(sessions.size, 1, 'a client that never played');
  sessions.sweep(40_000);
  t.equal(sessions.isWatched(ladder), false);
});
