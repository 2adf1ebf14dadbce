import { EventEmitter } from 'node:events';
import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { LateGroups } from '../../../src/outputs/late-groups.ts';
import type { Rendition, RenditionEvents } from '../../../src/renditions/rendition.ts';

const tag = (type: typeof TAG_AUDIO | typeof TAG_VIDEO, timestamp: number, extra: Partial<FlvTag> = {}): FlvTag => ({
  type,
  timestamp,
  data: Buffer.alloc(100),
  keyFrame: false,
  sequenceHeader: false,
  ...extra,
});

function setUp() {
  const load = { overloaded: false };
  const lateGroups = new LateGroups(load);
  let keyFramesWanted = 0;
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    requestKeyFrame: () => void keyFramesWanted++,
  }) as unknown as Rendition;
  /** 25 frames a second with a key frame every 2 s, and audio, from `fromMs` to `toMs`, each `delayMs` later than its timestamp. */
  const play = (fromMs: number, toMs: number, delayMs: (ms: number) => number) => {
    const passed: FlvTag[] = [];
    let dropped = 0;
    for (let ms = fromMs; ms < toMs; ms += 40) {
      const group = new TagGroup([tag(TAG_AUDIO, ms - 20), tag(TAG_VIDEO, ms, { keyFrame: ms % 2000 === 0 })]);
      const { admitted, framesDropped } = lateGroups.admit(rendition, group, ms + delayMs(ms));
      passed.push(...(admitted?.tags ?? []));
      dropped += framesDropped;
    }
    return { passed, dropped };
  };
  return { load, lateGroups, rendition, play, keyFramesWanted: () => keyFramesWanted };
}

const frames = (tags: readonly FlvTag[]): FlvTag[] => tags.filter(({ type }) => type === TAG_VIDEO);

t.test('an overloaded gateway drops what is too late, and continues at a key frame', async (t) => {
  const { load, play, keyFramesWanted } = setUp();
  t.equal(play(0, 4000, () => 50).dropped, 0);
  load.overloaded = true;
  const growing = play(4000, 8000, (ms) => (ms - 4000) * 0.6);
  t.equal(frames(growing.passed).length + growing.dropped, 100, 'every frame is passed on or counted');
  const first = growing.passed.at(-1)!.timestamp;
  t.ok(first > 5600 && first < 6600, `sends until it is more than 1 s late for half a second: ${first}`);
  const behind = play(8000, 9000, () => 2400);
  t.strictSame([behind.passed, behind.dropped], [[], 25], 'neither frames nor audio while it is late');

  const recovered = play(9000, 12_000, () => 60);
  const [frame] = frames(recovered.passed);
  t.match(frame, { timestamp: 10_000, keyFrame: true });
  t.equal(recovered.dropped, 25);
  t.ok(recovered.passed[0]!.timestamp < 9100, 'audio goes on at once');
  t.equal(keyFramesWanted(), 1);
  t.equal(play(12_000, 20_000, () => 60).dropped, 0);
});

t.test('audio goes on as soon as it is not too late itself, also while video is paused', async (t) => {
  const { load, lateGroups, rendition, play } = setUp();
  const admits = (ms: number, delayMs: number) =>
    lateGroups.admit(rendition, new TagGroup([tag(TAG_AUDIO, ms)]), ms + delayMs).admitted !== undefined;
  play(0, 2000, () => 0);
  load.overloaded = true;
  t.strictSame(play(3000, 4000, () => 3000).passed.at(-1)?.timestamp, 3480, 'it drops');
  t.notOk(admits(4000, 3000), 'too late');
  t.ok(admits(5000, 800));
  const late = play(5000, 6000, () => 800);
  t.strictSame([frames(late.passed), late.dropped], [[], 25], 'video waits until it is on time');
  t.equal(late.passed.length, 25);
});

t.test('media that is late because of the publisher is sent', async (t) => {
  const { play } = setUp();
  play(0, 2000, () => 50);
  t.equal(play(2000, 20_000, () => 4000).dropped, 0);
});

t.test('one long tick is not a reason to drop: what waited is sent within the next ticks', async (t) => {
  const { load, play } = setUp();
  load.overloaded = true;
  play(0, 2000, () => 50);
  // 1.7 s of media arrive within 100 ms.
  t.equal(play(2000, 3720, (ms) => 3720 - ms + (ms - 2000) / 20).dropped, 0);
  t.equal(play(3720, 8000, () => 100).dropped, 0);
});

t.test('what stays late although the gateway is idle again is not its fault, and is sent', async (t) => {
  const { load, play } = setUp();
  play(0, 2000, () => 50);
  load.overloaded = true;
  t.ok(play(2000, 4000, () => 3000).dropped > 0);
  load.overloaded = false;
  const idle = play(4000, 10_000, () => 3000);
  t.match(frames(idle.passed)[0], { timestamp: 6000, keyFrame: true });
  load.overloaded = true;
  t.equal(play(10_000, 14_000, () => 3000).dropped, 0, 'this delay is the normal one now');
});

t.test('sequence headers are always passed on', async (t) => {
  const { load, lateGroups, rendition, play } = setUp();
  play(0, 2000, () => 50);
  load.overloaded = true;
  play(2000, 4000, () => 3000);
  const header = tag(TAG_VIDEO, 4000, { sequenceHeader: true });
  const { admitted, framesDropped } = lateGroups.admit(
    rendition,
    new TagGroup([header, tag(TAG_VIDEO, 4000, { keyFrame: true })]),
    7000,
  );
  t.strictSame([admitted?.tags, framesDropped], [[header], 1]);
});

t.test('all outputs of a rendition lose the same, and share the group', async (t) => {
  const { load, lateGroups, rendition, play } = setUp();
  const group = new TagGroup([tag(TAG_VIDEO, 0, { keyFrame: true })]);
  t.equal(lateGroups.admit(rendition, group, 50).admitted, group);
  play(40, 2000, () => 50);
  load.overloaded = true;
  play(2000, 4000, () => 3000);
  const late = new TagGroup([tag(TAG_VIDEO, 4000), tag(TAG_VIDEO, 4000, { sequenceHeader: true })]);
  const first = lateGroups.admit(rendition, late, 7000);
  t.equal(lateGroups.admit(rendition, late, 7000), first);
  const other = Object.assign(new EventEmitter<RenditionEvents>(), {
    requestKeyFrame: () => {},
  }) as unknown as Rendition;
  t.equal(lateGroups.admit(other, late, 7000).admitted, late, 'another rendition has its own delay');
});
