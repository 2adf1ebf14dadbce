import t from 'tap';
import { FrameRate, MEASURED_FRAMES } from '../../../../src/renditions/standby/frame-rate.ts';

/** Frames at a steady rate, from a time on. */
function play(rate: FrameRate, fps: number, frames: number, fromMs = 0): number {
  for (let frame = 0; frame < frames; frame++) {
    const ms = fromMs + (frame * 1000) / fps;
    rate.note(ms, ms);
  }
  return fromMs + (frames * 1000) / fps;
}

t.test('the usual rate that is nearest, known after some frames', async (t) => {
  for (const [fps, usual] of [
    [1, 5],
    [5, 5],
    [14, 15],
    [24.9, 25],
    [29.97, 30],
    [50, 50],
    [90, 60],
  ] as const) {
    const rate = new FrameRate();
    t.equal(rate.usualRate, 30, 'before frames arrive');
    play(rate, fps, MEASURED_FRAMES);
    t.equal(rate.known, undefined);
    play(rate, fps, 100, (MEASURED_FRAMES * 1000) / fps);
    t.equal(rate.usualRate, usual, `${fps}`);
    t.ok(Math.abs(rate.known! - fps) < 0.1, `${rate.known}`);
  }
});

t.test('one interruption says nothing about the rate', async (t) => {
  const rate = new FrameRate();
  const ms = play(rate, 50, 100);
  play(rate, 50, 100, ms + 10_000);
  t.equal(rate.usualRate, 50);
});

t.test('video is absent after three of its longest intervals, from 0.5 to 3 s', async (t) => {
  for (const [fps, absentAfterMs] of [
    [30, 500],
    [4, 750],
    [0.5, 3000],
  ] as const) {
    const rate = new FrameRate();
    play(rate, fps, 4);
    t.equal(rate.absentAfterMs, absentAfterMs, `${fps}`);
  }
});
