import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { MeteredSink } from '../../../src/outputs/metered-sink.ts';

const tag = (type: typeof TAG_AUDIO | typeof TAG_VIDEO, bytes: number, sequenceHeader = false): FlvTag => ({
  type,
  timestamp: 0,
  data: Buffer.alloc(bytes),
  keyFrame: false,
  sequenceHeader,
});

t.test('everything reaches the pusher; frames and bytes are counted, headers are no frames', async (t) => {
  const groups: TagGroup[] = [];
  const pusher = { writable: true, write: (group: TagGroup) => void groups.push(group) };
  const startMs = 5000;
  const sink = new MeteredSink(pusher, () => startMs);
  t.equal(sink.bitrate(startMs), 0);
  const first = new TagGroup([tag(TAG_VIDEO, 1000)]);
  sink.write(first);
  for (let i = 0; i < 10; i++)
    sink.write(new TagGroup([tag(TAG_VIDEO, 50, true), tag(TAG_VIDEO, 2000), tag(TAG_AUDIO, 450)]));
  // The rates count from the first write: 25,000 bytes and 10 frames.
  t.equal(sink.bitrate(startMs + 1000), 200, 'kbit/s');
  t.equal(sink.frameRate(startMs + 1000), 10, 'frames per second');
  t.equal(groups.length, 11);
  t.equal(groups[0], first);
  t.ok(sink.writable);
  pusher.writable = false;
  t.notOk(sink.writable);
});
