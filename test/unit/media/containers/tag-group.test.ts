import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';

const tag = (type: typeof TAG_AUDIO | typeof TAG_VIDEO, timestamp: number): FlvTag => ({
  type,
  timestamp,
  data: Buffer.from([timestamp]),
  keyFrame: false,
  sequenceHeader: false,
});

t.test('rebased timestamps are created once for each start, without a copy of the bodies', async (t) => {
  const group = new TagGroup([tag(TAG_VIDEO, 100), tag(TAG_AUDIO, 121)]);
  const since = group.since(90);
  t.strictSame(
    since.tags.map(({ timestamp }) => timestamp),
    [10, 31],
  );
  t.equal(since.tags[0]!.data, group.tags[0]!.data);
  t.equal(group.since(90), since);
  t.strictSame(
    group.since(100).tags.map(({ timestamp }) => timestamp),
    [0, 21],
  );
  t.strictSame(
    group.tags.map(({ timestamp }) => timestamp),
    [100, 121],
    'the group itself stays as it is',
  );
  t.equal(group.since(0), group);
});

t.test('made once for each form', async (t) => {
  const group = new TagGroup([tag(TAG_VIDEO, 1)]);
  let made = 0;
  const make = ({ tags }: TagGroup): string => `${++made}: ${tags.length}`;
  t.strictSame([group.once('a', make), group.once('a', make), group.once('b', make)], ['1: 1', '1: 1', '2: 1']);
});
