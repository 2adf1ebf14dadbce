import t from 'tap';
import { RecentTags } from '../../../src/encode/recent-tags.ts';
import { TAG_VIDEO, type FlvTag } from '../../../src/flv/flv-tag.ts';
import { TagGroup } from '../../../src/flv/tag-group.ts';

const group = (timestamp: number, keyFrame = false): TagGroup => new TagGroup([{ type: TAG_VIDEO, timestamp, data: Buffer.alloc(1), keyFrame, sequenceHeader: false } satisfies FlvTag]);
const timestamps = (groups: readonly TagGroup[]): number[] => groups.flatMap(({ tags }) => tags.map(({ timestamp }) => timestamp));

t.test('from the last key frame on, for half a second', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0), 0);
  t.strictSame(recent.since(0), [], 'nothing before the first key frame');
  recent.add(group(33, true), 33);
  recent.add(group(66), 66);
  t.strictSame(timestamps(recent.since(66)), [33, 66]);
  recent.add(group(100, true), 100);
  recent.add(group(133), 133);
  t.strictSame(timestamps(recent.since(600)), [100, 133]);
  t.strictSame(recent.since(601), []);
});

t.test('holds nothing that is older', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0, true), 0);
  for (let ms = 33; ms < 5000; ms += 33) recent.add(group(ms), ms);
  t.strictSame(recent.since(0), [], 'let go of, whatever the time');
});

t.test('a sequence header is no key frame', async (t) => {
  const recent = new RecentTags();
  recent.add(new TagGroup([{ type: TAG_VIDEO, timestamp: 0, data: Buffer.alloc(1), keyFrame: true, sequenceHeader: true }]), 0);
  t.strictSame(recent.since(0), []);
});

t.test('cleared, it begins at the next key frame', async (t) => {
  const recent = new RecentTags();
  recent.add(group(0, true), 0);
  recent.clear();
  recent.add(group(33), 33);
  t.strictSame(recent.since(33), []);
});
