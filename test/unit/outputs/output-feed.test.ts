import { EventEmitter } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { LateGroups } from '../../../src/outputs/late-groups.ts';
import { OutputFeed, type OutputFeedOptions } from '../../../src/outputs/output-feed.ts';
import type { Rendition, RenditionEvents } from '../../../src/renditions/rendition.ts';

const tag = (type: typeof TAG_AUDIO | typeof TAG_VIDEO, timestamp: number, keyFrame = false): FlvTag => ({
  type,
  timestamp,
  data: Buffer.alloc(100),
  keyFrame,
  sequenceHeader: false,
});

function setUp(t: Test, more: Partial<OutputFeedOptions> = {}, fields: Partial<Rendition> = {}) {
  const sent: FlvTag[] = [];
  let wanted = 0;
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: {},
    videoHeader: undefined,
    audioHeader: undefined,
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => void wanted++,
    ...fields,
  }) as Rendition;
  const sink = { writable: true, write: ({ tags }: TagGroup) => void sent.push(...tags) };
  const feed = OutputFeed.start({
    rendition,
    sink,
    lateGroups: new LateGroups({ overloaded: false }),
    queue: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
    pollingMs: 10,
    silence: Buffer.alloc(5),
    sendMetadata: false,
    ...more,
  });
  t.teardown(() => feed.close());
  const play = (...tags: FlvTag[]): void => void rendition.emit('tags', new TagGroup(tags));
  return { feed, sent, sink, rendition, play, wanted: () => wanted };
}

const frames = (tags: readonly FlvTag[]): number[] =>
  tags.filter(({ type }) => type === TAG_VIDEO).map(({ timestamp }) => timestamp);

t.test('joins at a key frame, which is requested, and ends when it is closed', async (t) => {
  const { feed, sent, rendition, play, wanted } = setUp(t);
  t.equal(wanted(), 1);
  play(tag(TAG_VIDEO, 1000));
  play(tag(TAG_VIDEO, 1040, true), tag(TAG_VIDEO, 1080));
  t.strictSame(frames(sent), [0, 40]);
  feed.close();
  play(tag(TAG_VIDEO, 1120));
  t.strictSame(frames(sent), [0, 40]);
  t.equal(rendition.listenerCount('tags'), 0);
});

t.test('a slow sink loses whole groups, which are counted; what waits is sent when it is writable again', async (t) => {
  const { feed, sent, sink, play } = setUp(t);
  play(tag(TAG_VIDEO, 0, true));
  sink.writable = false;
  for (let ms = 40; ms < 8000; ms += 40) play(tag(TAG_VIDEO, ms, ms % 2000 === 0));
  t.ok(feed.framesDropped > 0);
  t.ok(feed.bufferedMs <= 5000);
  sink.writable = true;
  feed.pump();
  const resumed = sent.filter(({ type }) => type === TAG_VIDEO)[1]!;
  t.ok(resumed.keyFrame, 'goes on at a key frame');
  t.equal(frames(sent).length + feed.framesDropped, 200);
});

t.test('frames that the overloaded gateway is too late with are counted, for the output and in all', async (t) => {
  let late = false;
  const lateGroups = new LateGroups({ overloaded: true });
  const admit = lateGroups.admit.bind(lateGroups);
  lateGroups.admit = (...group) => (late ? { admitted: undefined, framesDropped: 2 } : admit(...group));
  const { feed, sent, play } = setUp(t, { lateGroups });
  late = true;
  play(tag(TAG_VIDEO, 0), tag(TAG_VIDEO, 40));
  t.equal(feed.framesDropped, 0, 'not before the output has begun');
  late = false;
  play(tag(TAG_VIDEO, 80, true));
  late = true;
  play(tag(TAG_VIDEO, 120), tag(TAG_VIDEO, 160));
  t.strictSame(frames(sent), [0]);
  t.equal(feed.framesDropped, 2);
  t.equal(lateGroups.framesDropped, 2);
});

t.test('a sink that cannot add a track gets a call instead of the track', async (t) => {
  let changes = 0;
  const { sent, rendition, play } = setUp(t, { onTracksChanged: () => changes++ }, { hasVideo: false });
  play(tag(TAG_AUDIO, 0));
  Object.assign(rendition, { hasVideo: true });
  play(tag(TAG_VIDEO, 100, true));
  t.equal(changes, 1);
  t.strictSame(frames(sent), []);
});

t.test('the transform sees only what is sent', async (t) => {
  const seen: number[] = [];
  const { play } = setUp(t, {
    transform: (group) => {
      seen.push(...group.tags.map(({ timestamp }) => timestamp));
      return group;
    },
  });
  play(tag(TAG_AUDIO, 500));
  play(tag(TAG_VIDEO, 1000, true));
  play(tag(TAG_AUDIO, 1020));
  t.strictSame(seen, [0, 0, 20], 'silence that announces the audio, the frame, and the audio after it');
});
