import { EventEmitter } from 'node:events';
import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { RenditionSwitch } from '../../../src/renditions/rendition-switch.ts';
import type { Rendition, RenditionEvents } from '../../../src/renditions/rendition.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const FRAME_MS = 40;

const tag = (timestamp: number, name: string, extra: Partial<FlvTag> = {}): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.from(name),
  keyFrame: false,
  sequenceHeader: false,
  ...extra,
});
const header = (name: string, timestamp = 0): FlvTag => tag(timestamp, `header ${name}`, { sequenceHeader: true });

class FakeRendition extends EventEmitter<RenditionEvents> implements Rendition {
  readonly name: string;
  videoHeader: FlvTag | undefined;
  audioHeader = undefined;
  hasVideo = true;
  recent: TagGroup | undefined;
  keyFramesRequested = 0;
  metadata: object;
  constructor(name: string) {
    super();
    this.name = name;
    this.metadata = { width: name.length };
    this.videoHeader = header(name);
  }
  requestKeyFrame(): void {
    this.keyFramesRequested++;
  }
  send(...tags: FlvTag[]): TagGroup {
    const group = new TagGroup(tags);
    this.emit('tags', group);
    return group;
  }
  frame(ms: number, keyFrame = false): void {
    this.send(tag(ms, `${this.name}${keyFrame ? ' key' : ''}`, { keyFrame }));
  }
}

function setUp() {
  const direct = new FakeRendition('direct');
  const encoded = new FakeRendition('encoded');
  const switches: string[] = [];
  let missed = 0;
  const clock = new FakeClock();
  const rendition = new RenditionSwitch(
    direct,
    { onSwitched: (to) => switches.push(to), onMissed: () => missed++ },
    clock,
  );
  const sent: FlvTag[] = [];
  let formats = 0;
  rendition.on('tags', ({ tags }) => sent.push(...tags));
  rendition.on('format', () => formats++);
  return {
    direct,
    encoded,
    rendition,
    clock,
    switches,
    sent,
    missed: () => missed,
    formats: () => formats,
    /** Frames of both from a time to another; the encoding is late by `delayMs` and has a key frame every second. */
    play(fromMs: number, untilMs: number, { delayMs = 200, directKeys = 2000 } = {}): void {
      for (let ms = fromMs; ms < untilMs; ms += FRAME_MS) {
        direct.frame(ms, ms % directKeys === 0);
        const late = ms - delayMs;
        if (late >= 0) encoded.frame(late, late % 1000 === 0);
      }
    },
    video: () => sent.filter(({ type, sequenceHeader }) => type === TAG_VIDEO && !sequenceHeader),
    text: () => sent.map(({ data }) => String(data)),
  };
}

function isContinuous(
  t: { strictSame: (a: unknown, b: unknown, m: string) => unknown },
  video: readonly FlvTag[],
): void {
  const steps = video.slice(1).map(({ timestamp }, index) => timestamp - video[index]!.timestamp);
  t.strictSame([...new Set(steps)], [FRAME_MS], 'no frame is missing, none is sent twice, time goes forward');
}

t.test('passing: the same groups go on', async (t) => {
  const { direct, rendition } = setUp();
  const groups: TagGroup[] = [];
  rendition.on('tags', (group) => groups.push(group));
  const group = direct.send(tag(0, 'key', { keyFrame: true }), tag(0, 'sound', { type: TAG_AUDIO }));
  t.equal(groups[0], group);
  t.equal(rendition.onAir, 'direct');
  t.strictSame(rendition.metadata, { width: 6 });
  direct.recent = group;
  t.equal(rendition.recent, group);
});

t.test('there and back: no gap, no repetition, a header at each switch, key frames first', async (t) => {
  const test = setUp();
  const { rendition, switches, direct, encoded } = test;
  test.play(0, 400);
  rendition.toEncoded(encoded, 1000);
  test.play(400, 3400);
  t.strictSame(switches, ['encoded']);
  t.strictSame(rendition.metadata, { width: 7 });
  t.equal(String(rendition.videoHeader?.data), 'header encoded');
  t.equal(String(rendition.recent?.tags[0]?.data), 'encoded key', 'outputs that join begin with the encoding');
  rendition.toDirect();
  t.equal(direct.keyFramesRequested, 1);
  test.play(3400, 6000);
  t.strictSame(switches, ['encoded', 'direct']);
  t.equal(String(rendition.videoHeader?.data), 'header direct');
  isContinuous(t, test.video());
  t.equal(test.video()[0]!.timestamp, 0);
  const text = test.text();
  const at = text.indexOf('header encoded');
  t.strictSame(text.slice(at - 1, at + 2), ['direct', 'header encoded', 'encoded key']);
  const back = text.indexOf('header direct');
  t.strictSame(text.slice(back - 1, back + 2), ['encoded', 'header direct', 'direct key']);
  t.equal(text.filter((one) => one.startsWith('header')).length, 2);
  t.equal(test.formats(), 2);
  t.equal(encoded.listenerCount('tags'), 0, 'the encoding is let go');
  t.equal(test.missed(), 0);
});

t.test('headers that are equal are not repeated', async (t) => {
  const test = setUp();
  test.encoded.videoHeader = header('direct');
  test.play(0, 400);
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(400, 3400);
  t.strictSame(test.switches, ['encoded']);
  t.equal(test.formats(), 0);
});

t.test('audio is always that of the direct rendition, and does not wait', async (t) => {
  const test = setUp();
  test.rendition.toEncoded(test.encoded, 1000);
  for (let ms = 0; ms < 4000; ms += 500) {
    const before = test.sent.length;
    test.direct.send(tag(ms, `sound ${ms}`, { type: TAG_AUDIO }));
    test.encoded.send(tag(ms, 'other sound', { type: TAG_AUDIO }));
    t.equal(test.sent.length, before + 1);
    test.play(ms, ms + 500);
  }
  t.notOk(test.text().includes('other sound'));
});

t.test('an encoding that does not arrive: the held frames are sent, and the switch is tried again', async (t) => {
  const test = setUp();
  test.play(0, 400);
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(400, 1280);
  const { encoded, direct } = test;
  for (let ms = 1280; ms < 2400; ms += FRAME_MS) direct.frame(ms);
  t.ok(test.video().at(-1)!.timestamp < 2000, 'frames are held');
  test.clock.pass(1499);
  t.equal(test.missed(), 0);
  test.clock.pass(1);
  t.equal(test.missed(), 1);
  t.equal(test.video().at(-1)!.timestamp, 2360);
  for (let ms = 1080; ms < 2400; ms += FRAME_MS) encoded.frame(ms, ms % 1000 === 0);
  t.strictSame(test.switches, [], 'its key frame of 2000 is too late');
  test.play(2400, 4400);
  t.strictSame(test.switches, ['encoded']);
  isContinuous(t, test.video());
});

t.test('an encoding that ends: the stream goes on with the next key frame, which is requested', async (t) => {
  const test = setUp();
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(0, 3400);
  t.strictSame(test.switches, ['encoded']);
  test.rendition.encodedFailed();
  t.equal(test.direct.keyFramesRequested, 1);
  test.direct.frame(3400);
  test.direct.frame(3440, true);
  test.direct.frame(3480);
  t.strictSame(test.switches, ['encoded', 'direct']);
  t.strictSame(test.text().slice(-3), ['header direct', 'direct key', 'direct']);
  const times = test.video().map(({ timestamp }) => timestamp);
  t.strictSame(
    times,
    [...times].sort((a, b) => a - b),
  );
});

t.test('a change of mind before the switch back leaves the encoding on air', async (t) => {
  const test = setUp();
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(0, 3400);
  test.rendition.toDirect();
  // Held from the key frame on, until the encoding arrives there.
  test.play(3400, 4120);
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(4120, 6000);
  t.strictSame(test.switches, ['encoded']);
  isContinuous(t, test.video());
});

t.test('a change of mind before the switch there sends what was held', async (t) => {
  const test = setUp();
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(0, 1080);
  test.rendition.toDirect();
  test.play(1080, 2000);
  t.strictSame(test.switches, ['direct']);
  t.ok(test.video().every(({ data }) => String(data).startsWith('direct')));
  isContinuous(t, test.video());
});

t.test('a header that changes while its frames are held comes with them', async (t) => {
  const test = setUp();
  test.rendition.toEncoded(test.encoded, 1000);
  test.play(0, 3400);
  test.rendition.toDirect();
  test.direct.send(header('new', 3400), tag(3400, 'new key', { keyFrame: true }), tag(3440, 'new'));
  for (let ms = 3200; ms <= 3400; ms += FRAME_MS) test.encoded.frame(ms);
  t.strictSame(test.text().slice(-4), ['encoded', 'header new', 'new key', 'new']);
  t.equal(String(test.rendition.videoHeader?.data), 'header new');
});

t.test('the end of the video and failures are passed on; closing lets go', async (t) => {
  const test = setUp();
  test.direct.hasVideo = false;
  test.direct.emit('format');
  t.equal(test.formats(), 1);
  let failures = 0;
  test.rendition.on('failed', () => failures++);
  test.direct.emit('failed', new Error() as never);
  t.equal(failures, 1);
  test.rendition.toEncoded(test.encoded, 1000);
  test.rendition.close();
  test.rendition.close();
  for (const rendition of [test.direct, test.encoded])
    for (const event of ['tags', 'format', 'failed'] as const) t.equal(rendition.listenerCount(event), 0);
});
