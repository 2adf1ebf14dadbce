import t from 'tap';
import { KeyFramePace, KeyFrameRequests } from '../../../src/renditions/key-frame-requests.ts';
import type { VideoTrack } from '../../../src/streams/live-stream.ts';

const TICK_MS = 20;
const ANSWER_MS = 100;

/** A publisher that sends key frames by itself, or when asked; and all readers of its track. */
class Stage {
  readonly at: number[] = [];
  readonly missed: number[] = [];
  readonly readers: KeyFrameRequests[] = [];
  now = 0;
  answers = true;
  /** Milliseconds between key frames that come by themselves. */
  everyMs = Infinity;
  readonly #pace = new KeyFramePace();
  #dueMs = Infinity;

  join(intervalMs = 2000): KeyFrameRequests {
    const reader = new KeyFrameRequests(
      intervalMs,
      () => {
        this.at.push(this.now);
        if (this.answers) this.#dueMs = Math.min(this.#dueMs, this.now + ANSWER_MS);
      },
      () => this.missed.push(this.now),
    );
    reader.start(this.now, this.#pace);
    this.readers.push(reader);
    return reader;
  }

  go(untilMs: number, each: (nowMs: number) => void = () => {}): void {
    for (; this.now < untilMs; this.now += TICK_MS) {
      if ((this.now > 0 && this.now % this.everyMs === 0) || this.now >= this.#dueMs) {
        this.#dueMs = Infinity;
        for (const reader of this.readers) reader.arrived(this.now);
      }
      each(this.now);
      for (const reader of this.readers) reader.tick(this.now);
    }
  }
}

t.test('a key frame is requested at once; without an answer seldom', async (t) => {
  const stage = new Stage();
  stage.answers = false;
  stage.join();
  stage.go(12_000);
  t.strictSame(stage.at, [0, 4000, 8000]);
});

t.test('a publisher that sends no key frame is reported once', async (t) => {
  const stage = new Stage();
  stage.answers = false;
  const reader = stage.join();
  stage.go(60_000);
  t.strictSame(stage.missed, [12_020]);
  reader.start(stage.now);
  stage.go(71_000);
  reader.arrived(stage.now);
  stage.go(100_000);
  t.equal(stage.missed.length, 1, 'the next publisher gets as much time, and later key frames are only requested');
});

t.test('key frames are requested at an interval after the last one', async (t) => {
  const stage = new Stage();
  stage.join();
  stage.go(6000);
  t.strictSame(stage.at, [0, 2100, 4200]);
  const often = new Stage();
  often.join(500);
  often.go(2000);
  t.strictSame(often.at, [0, 600, 1200, 1800], 'as often as the setting says');
});

t.test('none is requested while they come by themselves, whatever outputs wish', async (t) => {
  for (const everyMs of [500, 1000, 1500, 2000]) {
    const stage = new Stage();
    stage.everyMs = everyMs;
    stage.go(100);
    for (let count = 0; count < 3; count++) stage.join();
    stage.go(5000);
    const before = stage.at.length;
    t.ok(before <= 1, `${everyMs} ms: ${before} at the start`);
    stage.go(60_000, (nowMs) => {
      if (nowMs % 1820 === 0) stage.readers[0]!.want(nowMs);
      if (nowMs % 9000 === 0) stage.join();
    });
    t.equal(stage.at.length, before, `${everyMs} ms`);
    stage.everyMs = Infinity;
    stage.go(70_000);
    t.ok(stage.at.length > before, 'they stop: they are requested');
  }
});

t.test('at most one in two seconds, whatever is lost and however many outputs there are', async (t) => {
  for (const everyMs of [1000, 10_000, Infinity])
    for (const lossMs of [100, 360, 700, 1900]) {
      const stage = new Stage();
      stage.everyMs = everyMs;
      for (let count = 0; count < 5; count++) stage.join();
      stage.go(60_000, (nowMs) => {
        if (nowMs % lossMs === 0) for (const reader of stage.readers) reader.need(nowMs);
        if (nowMs % 700 === 0) stage.readers[1]!.want(nowMs);
        if (nowMs % 5000 === 0) stage.join();
      });
      const gaps = stage.at.slice(1).map((at, index) => at - stage.at[index]!);
      t.ok(
        gaps.every((gap) => gap >= 2000),
        `key frames each ${everyMs} ms, losses each ${lossMs} ms: ${Math.min(...gaps)} ms`,
      );
    }
});

t.test('the first request of a track goes at once, and so does a join when none was requested recently', async (t) => {
  const stage = new Stage();
  stage.join(10_000);
  stage.go(5000);
  stage.join(10_000);
  t.strictSame(stage.at, [0, 5000]);
  stage.go(5500);
  stage.join(10_000);
  stage.go(6900);
  t.strictSame(stage.at, [0, 5000]);
  stage.go(7100);
  t.strictSame(stage.at, [0, 5000, 7000], 'after a key frame that this one has not seen');
});

t.test('readers of one track share its pace, and requests are counted', async (t) => {
  const track = {} as VideoTrack;
  t.equal(KeyFramePace.of(track), KeyFramePace.of(track));
  t.not(KeyFramePace.of(track), KeyFramePace.of({} as VideoTrack));
  const before = KeyFramePace.total;
  const stage = new Stage();
  stage.join();
  stage.go(3000);
  t.equal(KeyFramePace.total - before, stage.at.length);
});
