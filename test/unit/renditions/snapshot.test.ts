import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { KeyFrameReader } from '../../../src/renditions/key-frame-reader.ts';
import type { KeyFrame } from '../../../src/renditions/media-source.ts';
import { SnapshotService } from '../../../src/renditions/snapshot.ts';
import { LiveStream } from '../../../src/streams/live-stream.ts';
import { tickMs } from '../../../src/runtime/tick.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { fakePublisher, FakeSubscription, vp8KeyFrame } from '../../helpers/fake-publisher.ts';
import { waitFor } from '../../helpers/wait.ts';
import { wrapFfmpeg } from '../../helpers/wrapped-ffmpeg.ts';

// Instead of a decode: waits for input like ffmpeg, notes its start and end, and waits until the test creates `go`.
const folder = await wrapFfmpeg(
  t,
  `case "$*" in *mjpeg*|*rgb24*)
    head -c 1 >/dev/null
    touch "$FOLDER/started.$$"
    until [ -e "$FOLDER/go" ]; do sleep 0.02; done
    if [ -e "$FOLDER/fail" ]; then echo "no such frame" >&2; exit 1; fi
    case "$*" in *mjpeg*) echo "JPEG $$";; *) echo "PNG $$";; esac
    rm "$FOLDER/started.$$"; touch "$FOLDER/done.$$"; exit 0;;
  esac`,
);
const count = async (prefix: string): Promise<number> =>
  (await readdir(folder)).filter((name) => name.startsWith(prefix)).length;
const mark = (name: string): Promise<void> => writeFile(join(folder, name), '');
const clear = async (): Promise<void> => {
  for (const name of await readdir(folder)) if (name !== 'ffmpeg') await rm(join(folder, name));
};

/** A publisher of VP8 that answers each request for a key frame. */
function publish(name: string): { stream: LiveStream; track: FakeSubscription } {
  const track = new FakeSubscription();
  let rtpTimestamp = 0;
  track.onKeyFrameRequest = () => setImmediate(() => track.packet((rtpTimestamp += 3000), vp8KeyFrame(64, 48)));
  const stream = new LiveStream(name, undefined);
  stream.attach(fakePublisher({ video: track, videoCodec: 'vp8' }));
  return { stream, track };
}

function setUp(
  t: Test,
  lastKeyFrame: (stream: LiveStream) => KeyFrame | undefined = () => undefined,
  timeoutMs = 60_000,
) {
  const clock = new FakeClock();
  const snapshots = new SnapshotService({
    running: { lastKeyFrame },
    keyFrames: new KeyFrameReader({ timeoutMs }),
    clock,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await snapshots.close();
    await clear();
  });
  return Object.assign(snapshots, { clock });
}

t.test('requests for one stream share one decode, for a second', async (t) => {
  const snapshots = setUp(t);
  const { stream, track } = publish('camera');
  await mark('go');
  const jpegs = await Promise.all(Array.from({ length: 20 }, () => snapshots.take(stream)));
  t.equal(new Set(jpegs.map(String)).size, 1);
  t.match(String(jpegs[0]), /^JPEG/);
  t.equal(await snapshots.take(stream), jpegs[0], 'one that comes right after');
  t.equal(await count('done'), 1);
  t.ok(track.closed, 'the subscription ends with the key frame');
  await snapshots.clock.passSettled(999);
  t.equal(await snapshots.take(stream), jpegs[0], 'for a second');
  await snapshots.clock.passSettled(1);
  t.not(await snapshots.take(stream), jpegs[0]);
  t.equal(await count('done'), 2);
});

t.test('PNG and JPEG of one stream are shared separately', async (t) => {
  const snapshots = setUp(t);
  const { stream } = publish('camera');
  await mark('go');
  const jpeg = snapshots.take(stream);
  const waiting = [snapshots.take(stream, 'png'), snapshots.take(stream, 'png')];
  t.match(String(await jpeg), /^JPEG/);
  await snapshots.clock.passSettled(1000);
  const pngs = await Promise.all(waiting);
  t.match(String(pngs[0]), /^PNG/);
  t.equal(pngs[1], pngs[0]);
  t.equal(await count('done'), 2);
});

t.test('one decode per second and stream, whatever the requests ask for', async (t) => {
  const snapshots = setUp(t);
  const { stream } = publish('camera');
  await mark('go');
  const since = Date.now();
  const first = await snapshots.capture(stream, { format: 'jpeg' });
  t.ok(Math.abs(first.takenAt.getTime() - since) < 60_000);
  const small = snapshots.capture(stream, { format: 'jpeg', width: 32 });
  const smaller = snapshots.capture(stream, { format: 'jpeg', width: 16 });
  t.equal(await snapshots.capture(stream, { format: 'jpeg' }), first, 'the same form at once');
  await snapshots.clock.passSettled(999);
  t.equal(await count('done'), 1);
  await snapshots.clock.passSettled(1);
  t.not((await small).image, first.image);
  const last = snapshots.capture(stream, { format: 'png', width: 16 });
  const more = [20, 21, 22, 23].map((width) => snapshots.capture(stream, { format: 'png', width }));
  for (const one of more) one.catch(() => undefined);
  await t.rejects(more[3]!, { code: 'LIMIT_REACHED' }, 'a client cannot make others wait for long');
  await snapshots.clock.passSettled(999);
  t.equal(await count('done'), 2);
  await snapshots.clock.passSettled(1);
  await smaller;
  await snapshots.clock.passSettled(999);
  t.equal(await count('done'), 3);
  await snapshots.clock.passSettled(1);
  await last;
  t.equal(await count('done'), 4);
});

t.test('two decodes at a time, eight wait, and the others are refused', async (t) => {
  const snapshots = setUp(t);
  const results = Array.from({ length: 12 }, (_, index) =>
    snapshots.take(publish(`camera ${index}`).stream).then(
      () => 'JPEG',
      (error: { code: string }) => error.code,
    ),
  );
  await waitFor('two decodes', async () => (await count('started')) === 2);
  t.strictSame(await Promise.race(results), 'LIMIT_REACHED', 'at once, while the others wait');
  t.equal(await count('started'), 2);
  let most = 0;
  const all = Promise.all(results);
  await mark('go');
  let finished = false;
  void all.finally(() => (finished = true));
  while (!finished) most = Math.max(most, await count('started'));
  t.strictSame((await all).sort(), [...Array<string>(10).fill('JPEG'), 'LIMIT_REACHED', 'LIMIT_REACHED']);
  t.ok(most <= 2, `${most} at a time`);
  t.equal(await count('done'), 10);
});

t.test('a failed decode is shared as well', async (t) => {
  const snapshots = setUp(t);
  await mark('go');
  await mark('fail');
  const { stream, track } = publish('camera');
  for (let times = 0; times < 5; times++)
    await t.rejects(snapshots.take(stream), { code: 'ENCODER_FAILED', message: /no such frame/ });
  t.equal(await count('started'), 1);
  t.equal(track.keyFramesRequested, 1);
});

t.test('a recent key frame of a stream that is read anyway is used', async (t) => {
  const { stream, track } = publish('camera');
  const keyFrame = (ageMs: number): KeyFrame => ({
    codec: 'vp8',
    size: { width: 64, height: 48 },
    data: Buffer.alloc(10),
    arrivedMs: tickMs() - ageMs,
  });
  await mark('go');
  await setUp(t, () => keyFrame(2000)).take(stream);
  t.equal(track.keyFramesRequested, 0);
  await mark('go');
  await setUp(t, () => keyFrame(60_000)).take(stream);
  t.equal(track.keyFramesRequested, 1, 'an old one is not');
});

t.test('a stream without video, without frames, with frames that are too large, and one that is lost', async (t) => {
  const snapshots = setUp(t, undefined, 200);
  const silent = new LiveStream('silent', undefined);
  silent.attach(fakePublisher({}));
  await t.rejects(snapshots.take(silent), { code: 'ENCODER_FAILED', message: /no video/ });

  const frozen = publish('frozen');
  frozen.track.onKeyFrameRequest = () => {};
  await t.rejects(snapshots.take(frozen.stream), { code: 'ENCODER_FAILED', message: /no key frame for 0.2 s/ });
  t.ok(frozen.track.closed);

  const large = publish('large');
  large.track.onKeyFrameRequest = () => large.track.packet(0, vp8KeyFrame(8192, 8192));
  await t.rejects(snapshots.take(large.stream), { code: 'FRAME_TOO_LARGE', message: /8192x8192/ });

  const lost = publish('lost');
  lost.track.onKeyFrameRequest = () => {};
  const snapshot = snapshots.take(lost.stream);
  lost.stream.lose(1000);
  await t.rejects(snapshot, { message: /is gone/ });
  t.equal(await count('started'), 0, 'nothing was decoded');
});

t.test('closing ends running decodes', async (t) => {
  const snapshots = setUp(t);
  const taken = snapshots.take(publish('camera').stream);
  taken.catch(() => {});
  await waitFor('a decode', async () => (await count('started')) === 1);
  await snapshots.close();
  await t.rejects(taken, { code: 'ENCODER_FAILED', message: /it was stopped/ });
});
