import t from 'tap';
import { MissedFrames } from '../../../src/webrtc/missed-frames.ts';

/** One frame of 30 a second, in units of the RTP clock. */
const FRAME = 3000;

const create = (start = 0) => {
  const missed = new MissedFrames();
  for (const frame of [0, 0, 1, 1, 2]) missed.packet((start + frame * FRAME) >>> 0);
  return missed;
};

t.test('the first packet after a pause tells how many frames would have fitted into it', async (t) => {
  const missed = create();
  missed.pause();
  t.equal(missed.packet(2 * FRAME), 0, 'the rest of the frame that was interrupted');
  t.equal(missed.packet(33 * FRAME), 30);
  t.equal(missed.packet(34 * FRAME), 0, 'counted once');
  t.equal(missed.packet(40 * FRAME), 0, 'a gap without a pause is the publisher’s');
});

t.test('a pause between two frames loses none; timestamps wrap around', async (t) => {
  const missed = create(2 ** 32 - 2 * FRAME);
  missed.pause();
  t.equal(missed.packet(FRAME), 0);
  t.equal(missed.packet(0), 0, 'an old packet');
  missed.pause();
  t.equal(missed.packet(12 * FRAME), 10);
});

t.test('without two frames before the pause their rate is unknown', async (t) => {
  const missed = new MissedFrames();
  missed.pause();
  t.equal(missed.packet(90_000), 0);
  missed.pause();
  t.equal(missed.packet(180_000), 0);
});
