import t from 'tap';
import { EncoderClock } from '../../../src/renditions/encoder-clock.ts';

const frame = (timestamp: number) => ({ timestamp, sequenceHeader: false });
const HEADER = { timestamp: 0, sequenceHeader: true };
/** FLV has 31 bits for milliseconds. */
const WRAP_MS = 2 ** 31;

t.test('times are those of the stream', async (t) => {
  const clock = new EncoderClock(false);
  t.notOk(clock.isFed);
  t.equal(clock.feed(1000), 1000);
  t.ok(clock.isFed);
  t.equal(clock.toStream(HEADER), 0, 'a sequence header before the first frame');
  t.equal(clock.toStream(frame(1000)), 1000);
  t.equal(clock.feed(60_000), 60_000, 'a pause');
  t.equal(clock.toStream(HEADER), 1000, 'a sequence header has the time of the frame before it');
});

t.test('long pauses are cut for an encoder with a fixed frame rate, and only there', async (t) => {
  const clock = new EncoderClock(true);
  t.equal(clock.feed(1000), 1000);
  t.equal(clock.feed(3000), 3000, 'no longer than frames may be repeated');
  t.equal(clock.feed(13_000), 5000);
  t.equal(clock.toEncoder(13_500), 5500);
  t.equal(clock.toStream(frame(5000)), 13_000);
  clock.restart();
  t.equal(clock.feed(20_000), 20_000, 'another encoder begins at the time of the stream');
});

t.test('output time never goes back, and follows the stream when the times of FLV wrap', async (t) => {
  const clock = new EncoderClock(false);
  clock.feed(WRAP_MS + 40);
  t.equal(clock.toStream(frame(0)), WRAP_MS);
  t.equal(clock.toStream(frame(40)), WRAP_MS + 40);
  t.equal(clock.toStream(frame(20)), WRAP_MS + 41);
});

t.test('a new encoder is told which frames outputs have, where both have the same times', async (t) => {
  const clock = new EncoderClock(false);
  t.equal(clock.sentMs, undefined);
  t.ok(clock.canRepeat, 'nothing was sent');
  clock.beginAfter(500);
  t.equal(clock.sentMs, 500);
  clock.feed(1000);
  clock.toStream(frame(1000));
  t.equal(clock.sentMs, 1000);
  t.ok(clock.canRepeat);
  clock.feed(WRAP_MS);
  clock.toStream(frame(0));
  t.equal(clock.sentMs, undefined);
  t.notOk(clock.canRepeat);
});
