import t, { type Test } from 'tap';
import { OPUS_FORMAT } from '../../../src/renditions/audio-format.ts';
import { AudioLine } from '../../../src/renditions/audio-line.ts';
import type { FlvTag } from '../../../src/media/containers/flv-tag.ts';

const FRAME = 1024 / 48;
const raw = Buffer.from('live');

function setUp() {
  const tags: FlvTag[] = [];
  const line = new AudioLine(60, (tag) => tags.push(tag));
  const isLive = (tag: FlvTag): boolean => tag.data.includes('live');
  /** Every frame follows the one before at its length, within the millisecond that FLV can say (and half a frame of clock correction). */
  const check = (test: Test, tolerance = 1): void => {
    for (let i = 1; i < tags.length; i++) {
      const step = tags[i]!.timestamp - tags[i - 1]!.timestamp;
      if (step < FRAME - tolerance || step > FRAME + tolerance)
        test.fail(`step of ${step} ms at ${tags[i]!.timestamp}`);
    }
    test.pass('no hole and no overlap');
  };
  return { tags, line, isLive, check };
}

t.test('live audio passes as it is', async (t) => {
  const { tags, line, isLive, check } = setUp();
  for (let i = 0; i < 200; i++) line.live(raw, i * FRAME);
  t.equal(tags.length, 200);
  t.ok(tags.every(isLive));
  check(t);
});

t.test('packets of Opus have lengths of their own, and its silence fills what is missing', async (t) => {
  const tags: FlvTag[] = [];
  const line = new AudioLine(60, (tag) => tags.push(tag), OPUS_FORMAT);
  const short = Buffer.of(0xf8, 1, 2); // 20 ms
  const long = Buffer.of(0x18, 1, 2); // 60 ms
  let ms = 0;
  for (const [packet, lengthMs] of [...Array(5).fill([short, 20]), ...Array(5).fill([long, 60])] as [
    Buffer,
    number,
  ][]) {
    line.live(packet, ms);
    ms += lengthMs;
  }
  t.equal(tags.length, 10, 'a long packet is no hole');
  t.notOk(tags.some(({ data }) => data.equals(OPUS_FORMAT.silence)));
  line.live(short, ms + 100);
  t.equal(tags.filter(({ data }) => data.equals(OPUS_FORMAT.silence)).length, 5);
  const lengthOf = ({ data }: FlvTag): number => OPUS_FORMAT.durationMs!(data.subarray(5));
  for (const [index, tag] of tags.slice(1).entries())
    t.equal(tag.timestamp, tags[index]!.timestamp + lengthOf(tags[index]!));
});

t.test('no microphone at all: silence at the pace of the clock', async (t) => {
  const { tags, line, isLive, check } = setUp();
  for (let ms = 0; ms <= 10_000; ms += 20) line.fill(ms, false);
  t.ok(Math.abs(tags.at(-1)!.timestamp - 10_000) < 2 * FRAME);
  t.equal(tags[0]!.timestamp, 0);
  t.notOk(tags.some(isLive));
  check(t);
});

t.test('a microphone that stops and comes back: silence between, no step back, no hole', async (t) => {
  const { tags, line, isLive, check } = setUp();
  for (let ms = 0; ms < 10_000; ms += 20) {
    line.fill(ms, true);
    // Live audio is 60 ms late, and missing from 3 s to 6 s.
    const at = ms - 60;
    if (at < 0 || (at > 3000 && at < 6000)) continue;
    for (let frame = Math.ceil(at / FRAME); frame * FRAME < at + 20; frame++) line.live(raw, frame * FRAME);
  }
  check(t, FRAME / 2 + 1);
  const silent = tags.filter((tag) => !isLive(tag));
  t.ok(silent.length > 100 && silent.length < 160, `${silent.length} frames of silence`);
  t.ok(isLive(tags.at(-1)!));
});

t.test('a track that is announced and never sends', async (t) => {
  const { tags, line } = setUp();
  for (let ms = 0; ms < 300; ms += 20) line.fill(ms, true);
  t.equal(tags.length, 0, 'it may only be late');
  for (let ms = 300; ms < 2000; ms += 20) line.fill(ms, true);
  t.ok(tags.at(-1)!.timestamp > 1500);
});

t.test('audio from before the stream is left out', async (t) => {
  const { tags, line } = setUp();
  for (let i = -2; i < 3; i++) line.live(raw, i * FRAME);
  t.strictSame(
    tags.map(({ timestamp }) => timestamp),
    [0, 21, 43],
  );
});

t.test('a lost frame is replaced, one that comes twice is dropped', async (t) => {
  const { tags, line, isLive, check } = setUp();
  for (const i of [0, 1, 2, 4, 4, 5]) line.live(raw, i * FRAME);
  t.equal(tags.length, 6);
  t.strictSame(tags.map(isLive), [true, true, true, false, true, true]);
  check(t);
});

t.test('the slow correction of a clock is followed', async (t) => {
  const { tags, line, isLive } = setUp();
  for (let i = 0; i < 2000; i++) line.live(raw, i * FRAME * 1.005);
  t.ok(tags.filter(isLive).length >= 1995);
  t.ok(Math.abs(tags.at(-1)!.timestamp - 1999 * FRAME * 1.005) < FRAME);
});

t.test('a stream that stood still for an hour does not cause an hour of silence', async (t) => {
  const { tags, line } = setUp();
  line.live(raw, 0);
  line.fill(3_600_000, false);
  t.ok(tags.length < 3000, `${tags.length} frames`);
});

t.test('waits for audio that is late by its timestamps, until it is in time again', async (t) => {
  const { tags, line, isLive } = setUp();
  let nowMs = 0;
  let sent = 0;
  /** Runs the clock with audio that is late, and returns the tags of the last second. */
  const run = (forMs: number, lateMs: number): FlvTag[] => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs += 20) {
      line.fill(nowMs, true);
      for (; sent * FRAME < nowMs - lateMs; sent++) line.live(raw, sent * FRAME);
    }
    return tags.filter((tag) => tag.timestamp > nowMs - lateMs - 1000);
  };
  t.ok(run(3000, 60).every(isLive));
  for (const lateMs of [600, 800, 1000]) {
    t.ok(run(4000, lateMs).every(isLive), `late by ${lateMs} ms, and heard`);
    t.ok(run(2000, lateMs).length > 45);
  }
  t.ok(run(25_000, 60).every(isLive));
  const before = tags.length;
  sent += 50;
  run(800, 60);
  t.notOk(tags.slice(before).every(isLive), 'in time again, and no longer waited for');
  run(6000, 3000);
  t.ok(tags.at(-1)!.timestamp > nowMs - 2000, 'what is late by more is not waited for');
});

t.test('a burst after a stall of the network raises nothing', async (t) => {
  const { tags, line, isLive } = setUp();
  let nowMs = 0;
  let sent = 0;
  for (; nowMs < 2000; nowMs += 20) {
    line.fill(nowMs, true);
    for (; sent * FRAME < nowMs - 60; sent++) line.live(raw, sent * FRAME);
  }
  for (; nowMs < 5000; nowMs += 20) line.fill(nowMs, true);
  for (; sent * FRAME < nowMs - 60; sent++) line.live(raw, sent * FRAME);
  const before = tags.length;
  for (const endMs = nowMs + 800; nowMs < endMs; nowMs += 20) line.fill(nowMs, true);
  t.notOk(tags.slice(before).every(isLive), 'what is missing now is silence as soon as ever');
});

t.test(
  'a patient line keeps the audio of a stall that arrives afterwards, and the usual one stays in time',
  async (t) => {
    for (const stallMs of [3000, 6000, 7900, 10_000]) {
      const usual = setUp();
      const tags: FlvTag[] = [];
      const patient = new AudioLine(60, (tag) => tags.push(tag), undefined, 8000);
      const lines = [usual.line, patient];
      const backMs = 5000 + stallMs;
      let at = 0;
      for (let ms = 0; ms <= 30_000; ms += 20) {
        if (ms < 5000 || ms >= backMs)
          for (; at * FRAME <= ms; at++) for (const line of lines) line.live(raw, at * FRAME);
        for (const line of lines) line.fill(ms, true);
        const usualMs = usual.tags.at(-1)!.timestamp;
        if (ms > 1000 && usualMs < ms - 1000) t.fail(`the usual line is ${ms - usualMs} ms behind`);
      }
      for (let i = 1; i < tags.length; i++)
        if (Math.abs(tags[i]!.timestamp - tags[i - 1]!.timestamp - FRAME) > 12) t.fail(`step at ${tags[i]!.timestamp}`);
      const silentMs = tags.filter((tag) => !usual.isLive(tag)).length * FRAME;
      t.ok(silentMs <= Math.max(0, stallMs - 7700), `${stallMs} ms: ${silentMs} ms of silence`);
      t.ok(usual.tags.filter((tag) => !usual.isLive(tag)).length * FRAME > stallMs - 1000);
    }
  },
);

t.test(
  'a patient line begins where the usual one does, and a microphone that never sends leaves no hole',
  async (t) => {
    for (const fromMs of [0, 60_000]) {
      const tags: FlvTag[] = [];
      const patient = new AudioLine(60, (tag) => tags.push(tag), undefined, 8000);
      for (let ms = fromMs; ms <= fromMs + 20_000; ms += 20) patient.fill(ms, true);
      t.ok(Math.abs(tags[0]!.timestamp - fromMs) < 700, `${tags[0]!.timestamp}`);
      t.ok(Math.abs(tags.at(-1)!.timestamp - fromMs - 12_000) < 700);
      patient.fill(fromMs + 20_020, false);
      t.ok(tags.at(-1)!.timestamp > fromMs + 19_900, 'without a microphone silence does not wait');
    }
  },
);
