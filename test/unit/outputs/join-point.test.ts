import { EventEmitter } from 'node:events';
import t from 'tap';
import type { Rendition, RenditionEvents } from '../../../src/renditions/rendition.ts';
import { TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { JoinPoint } from '../../../src/outputs/join-point.ts';
import { parseOnMetaData } from '../../helpers/flv-tags.ts';

const tag = (type: typeof TAG_AUDIO | typeof TAG_VIDEO, timestamp: number, extra: Partial<FlvTag> = {}): FlvTag => ({
  type,
  timestamp,
  data: Buffer.from(`${type} ${timestamp}`),
  keyFrame: false,
  sequenceHeader: false,
  ...extra,
});
const videoHeader = tag(TAG_VIDEO, 0, { sequenceHeader: true, keyFrame: true, data: Buffer.from('avc') });
const audioHeader = tag(TAG_AUDIO, 0, { sequenceHeader: true, data: Buffer.from('aac') });

const silence = Buffer.from('silence');

function rendition(fields: Partial<Rendition> = {}): Rendition {
  return Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 640, height: 480 },
    videoHeader,
    audioHeader,
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => {},
    ...fields,
  }) as Rendition;
}

/** The output for a single tag. */
const take = (join: JoinPoint, tag: FlvTag, nowMs: number): readonly FlvTag[] =>
  join.take(new TagGroup([tag]), nowMs)?.tags ?? [];

const shown = (tags: readonly FlvTag[]): string[] =>
  tags.map(({ type, timestamp, data }) => (type === TAG_SCRIPT ? `metadata @${timestamp}` : `${data} @${timestamp}`));

t.test('begins with metadata, headers and a key frame, from 0', async (t) => {
  const join = new JoinPoint(rendition(), silence, true, 0);
  t.strictSame(take(join, tag(TAG_AUDIO, 5000), 10), [], 'audio waits');
  t.strictSame(take(join, tag(TAG_VIDEO, 5001), 20), [], 'never in the middle of a group of frames');
  t.strictSame(take(join, { ...videoHeader, timestamp: 5040 }, 30), []);
  const first = take(join, tag(TAG_VIDEO, 5040, { keyFrame: true }), 40);
  t.strictSame(shown(first), ['metadata @0', 'avc @0', 'aac @0', '9 5040 @0']);
  t.match(parseOnMetaData(first[0]!.data), { width: 640, height: 480 });
  t.equal(join.take(new TagGroup([tag(TAG_AUDIO, 5030)]), 50), undefined, 'audio from before the first frame');
  t.strictSame(shown(take(join, tag(TAG_AUDIO, 5045), 60)), ['8 5045 @5']);
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 5080), 70)), ['9 5080 @40']);
});

t.test('frames that are decoded after the first key frame and shown before it are left out', async (t) => {
  const join = new JoinPoint(rendition(), silence, false, 0);
  const frame = (timestamp: number, offset: number, keyFrame = false): FlvTag =>
    tag(TAG_VIDEO, timestamp, { keyFrame, data: Buffer.of(keyFrame ? 0x17 : 0x27, 1, 0, 0, offset, 0) });
  const times = (tags: readonly FlvTag[]): number[] => tags.map(({ timestamp }) => timestamp);
  t.same(times(take(join, frame(100, 90, true), 0)), [0, 0, 0]);
  t.same(times(take(join, frame(130, 0), 0)), []);
  t.same(times(take(join, frame(160, 0), 0)), []);
  t.same(times(take(join, frame(190, 90), 0)), [90]);
  t.same(times(take(join, frame(220, 0), 0)), [120], 'the frames after it are complete');
});

t.test('without metadata if it is switched off', async (t) => {
  const join = new JoinPoint(rendition(), silence, false, 0);
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 7, { keyFrame: true }), 0)), ['avc @0', 'aac @0', '9 7 @0']);
});

t.test('a new sequence header is passed on with its timestamp', async (t) => {
  const join = new JoinPoint(rendition(), silence, false, 0);
  take(join, tag(TAG_VIDEO, 100, { keyFrame: true }), 0);
  t.strictSame(
    shown(take(join, tag(TAG_VIDEO, 300, { sequenceHeader: true, keyFrame: true, data: Buffer.from('avc 2') }), 0)),
    ['avc 2 @200'],
  );
});

t.test('a stream without video begins with audio', async (t) => {
  const join = new JoinPoint(rendition({ hasVideo: false, videoHeader: undefined }), silence, false, 0);
  t.strictSame(shown(take(join, tag(TAG_AUDIO, 1000), 0)), ['aac @0', '8 1000 @0']);
});

t.test('audio waits at most 3 s for video that does not come; the video joins later at a key frame', async (t) => {
  const join = new JoinPoint(rendition(), silence, false, 0);
  t.strictSame(take(join, tag(TAG_AUDIO, 1000), 2900), []);
  t.strictSame(shown(take(join, tag(TAG_AUDIO, 1200), 3100)), ['aac @0', '8 1200 @0']);
  t.strictSame(take(join, tag(TAG_VIDEO, 1210), 3110), []);
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 1250, { keyFrame: true }), 3150)), ['avc @50', '9 1250 @50']);
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 1290), 3190)), ['9 1290 @90']);
});

t.test('late frames from before the first audio are dropped, and video joins at the next key frame', async (t) => {
  let wanted = 0;
  const join = new JoinPoint(rendition({ requestKeyFrame: () => wanted++ }), silence, false, 0);
  t.strictSame(shown(take(join, tag(TAG_AUDIO, 5000), 3100)), ['aac @0', '8 5000 @0']);
  t.strictSame(take(join, tag(TAG_VIDEO, 4600, { keyFrame: true }), 3150), [], 'no time below 0');
  t.equal(wanted, 1);
  t.strictSame(take(join, tag(TAG_VIDEO, 5010), 3160), [], 'nor what follows from it');
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 5050, { keyFrame: true }), 3190)), ['avc @50', '9 5050 @50']);
});

t.test('a codec without sequence header is announced by a frame of silence', async (t) => {
  const join = new JoinPoint(rendition({ audioHeader: undefined }), silence, false, 0);
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 100, { keyFrame: true }), 0)), ['avc @0', 'silence @0', '9 100 @0']);
});

t.test('of several key frames in a group it begins at the last one, to which the header belongs', async (t) => {
  const join = new JoinPoint(rendition(), silence, false, 0);
  const group = new TagGroup([
    tag(TAG_VIDEO, 100, { keyFrame: true }),
    tag(TAG_AUDIO, 110),
    { ...videoHeader, timestamp: 133 },
    tag(TAG_VIDEO, 133, { keyFrame: true }),
    tag(TAG_AUDIO, 140),
  ]);
  t.strictSame(shown(join.take(group, 0)!.tags), ['avc @0', 'aac @0', '9 133 @0', '8 140 @7']);
});

t.test('outputs that joined at the same frame share the group', async (t) => {
  const [first, second, later] = [0, 0, 0].map(() => new JoinPoint(rendition(), silence, false, 0));
  for (const join of [first!, second!]) take(join, tag(TAG_VIDEO, 100, { keyFrame: true }), 0);
  take(later!, tag(TAG_VIDEO, 200, { keyFrame: true }), 0);
  const group = new TagGroup([tag(TAG_VIDEO, 233), tag(TAG_AUDIO, 240)]);
  const got = [first!, second!, later!].map((join) => join.take(group, 0)!);
  t.equal(got[0], got[1]);
  t.strictSame(shown(got[0]!.tags), ['9 233 @133', '8 240 @140']);
  t.strictSame(shown(got[2]!.tags), ['9 233 @33', '8 240 @40']);
});

t.test('metadata that a format change has made untrue is sent again, before the new sequence header', async (t) => {
  const source = rendition();
  const join = new JoinPoint(source, silence, true, 0);
  take(join, tag(TAG_VIDEO, 1000, { keyFrame: true }), 0);
  // Announced, but nothing has changed.
  join.changeFormat();
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 1040), 40)), ['9 1040 @40']);
  Object.assign(source, { metadata: { width: 1280, height: 720 } });
  join.changeFormat();
  const group = [
    tag(TAG_AUDIO, 1070),
    { ...videoHeader, timestamp: 1080, data: Buffer.from('new') },
    tag(TAG_VIDEO, 1080, { keyFrame: true }),
  ];
  const changed = join.take(new TagGroup(group), 80)!.tags;
  t.strictSame(shown(changed), ['8 1070 @70', 'metadata @80', 'new @80', '9 1080 @80']);
  t.match(parseOnMetaData(changed[1]!.data), { width: 1280, height: 720 });
  t.strictSame(shown(take(join, tag(TAG_VIDEO, 1120), 120)), ['9 1120 @120'], 'once');
  // Without a new header, for example because the video is gone.
  Object.assign(source, { metadata: {} });
  join.changeFormat();
  t.strictSame(shown(take(join, tag(TAG_AUDIO, 1130), 130)), ['metadata @130', '8 1130 @130']);
});

t.test('metadata is not sent again before the beginning, or if it is switched off', async (t) => {
  for (const sendMetadata of [true, false]) {
    const source = rendition();
    const join = new JoinPoint(source, silence, sendMetadata, 0);
    join.changeFormat();
    const first = take(join, tag(TAG_VIDEO, 7, { keyFrame: true }), 0);
    t.equal(first.filter(({ type }) => type === TAG_SCRIPT).length, sendMetadata ? 1 : 0);
    Object.assign(source, { metadata: { width: 1, height: 1 } });
    if (!sendMetadata) join.changeFormat();
    t.strictSame(shown(take(join, tag(TAG_VIDEO, 47), 40)), ['9 47 @40']);
  }
});
