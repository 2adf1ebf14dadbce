import t from 'tap';
import { RecentTags } from '../../../src/renditions/recent-tags.ts';
import { TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';

const group = (timestamp: number, keyFrame = false): TagGroup =>
  new TagGroup([
    { type: TAG_VIDEO, timestamp, data: Buffer.alloc(1), keyFrame, sequenceHeader: false } satisfies FlvTag,
  ]);
const timestamps = (recent: TagGroup | undefined): number[] => recent?.tags.map(({ timestamp }) => timestamp) ?? [];

t.test('returns the tags since the last key frame, for half a second', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0), 0);
  t.strictSame(timestamps(recent.since(0)), [], 'nothing before the first key frame');
  recent.add(group(33, true), 33);
  recent.add(group(66), 66);
  t.strictSame(timestamps(recent.since(66)), [33, 66]);
  recent.add(group(100, true), 100);
  recent.add(group(133), 133);
  t.strictSame(timestamps(recent.since(600)), [100, 133]);
  t.strictSame(timestamps(recent.since(601)), []);
});

t.test('older tags are not kept', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0, true), 0);
  for (let ms = 33; ms < 5000; ms += 33) recent.add(group(ms), ms);
  t.strictSame(timestamps(recent.since(0)), [], 'they are gone, whatever the time');
});

t.test('a sequence header does not count as a key frame', async (t) => {
  const recent = new RecentTags();
  recent.add(
    new TagGroup([{ type: TAG_VIDEO, timestamp: 0, data: Buffer.alloc(1), keyFrame: true, sequenceHeader: true }]),
    0,
  );
  t.strictSame(timestamps(recent.since(0)), []);
});

t.test('after clear() it begins at the next key frame', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0, true), 0);
  recent.clear();
  recent.add(group(33), 33);
  t.strictSame(timestamps(recent.since(33)), []);
});

t.test('the result is a copy: later writes and tags do not change it', async (t) => {
  const recent = new RecentTags();
  const tag = (timestamp: number, fill: number, keyFrame = false, bytes = 50_000): FlvTag => ({
    type: TAG_VIDEO,
    timestamp,
    data: Buffer.alloc(bytes, fill),
    keyFrame,
    sequenceHeader: false,
  });
  const first = tag(0, 1, true);
  recent.add(new TagGroup([first, tag(1, 2, false, 0), tag(2, 3)]), 0);
  first.data.fill(9);
  const before = recent.since(0)!;
  recent.add(new TagGroup([tag(40, 4, true), tag(41, 5)]), 40);
  t.strictSame(before.tags, [tag(0, 1, true), tag(1, 2, false, 0), tag(2, 3)]);
  t.strictSame(recent.since(40)!.tags, [tag(40, 4, true), tag(41, 5)]);
});
