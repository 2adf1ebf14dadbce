import t from 'tap';
import { GroupOfFrames } from '../../../src/renditions/group-of-frames.ts';

const frame = (timestamp: number, keyFrame: boolean, bytes = 10) => ({
  timestamp,
  keyFrame,
  data: Buffer.alloc(bytes, timestamp),
});

t.test('the frames since the last key frame', async (t) => {
  const group = new GroupOfFrames(100);
  group.add(frame(1, false));
  t.strictSame(group.frames(), [], 'no decoder can start without one');
  for (const each of [frame(2, true), frame(3, false), frame(4, true), frame(5, false)]) group.add(each);
  t.strictSame(group.frames(), [frame(4, true), frame(5, false)]);
  group.clear();
  group.add(frame(6, false));
  t.strictSame(group.frames(), []);
});

t.test('of a long group nothing is kept', async (t) => {
  const group = new GroupOfFrames(100);
  group.add(frame(1, true, 60));
  group.add(frame(2, false, 40));
  t.equal(group.frames().length, 2);
  group.add(frame(3, false, 1));
  group.add(frame(4, false, 1));
  t.strictSame(group.frames(), []);
  group.add(frame(5, true, 101));
  t.strictSame(group.frames(), []);
  group.add(frame(6, true, 50));
  t.equal(group.frames().length, 1);
});
