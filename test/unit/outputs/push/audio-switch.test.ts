import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { AudioSwitch } from '../../../../src/outputs/push/audio-switch.ts';

const live = (timestamp: number): FlvTag => ({
  type: TAG_AUDIO,
  timestamp,
  data: Buffer.from(`live ${timestamp}`),
  keyFrame: false,
  sequenceHeader: false,
});
const silence = Buffer.from('silence');
const clip = { frames: ['a', 'b', 'c'].map((text) => Buffer.from(text)) };
const heard = (audio: AudioSwitch, from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => {
    const [tag] = audio.apply(new TagGroup([live(from + i)]), 0)!.tags;
    t.equal(tag!.timestamp, from + i, 'timestamps are those of the live audio');
    return tag!.data.toString('latin1');
  });

t.test('live, muted, live', async (t) => {
  const audio = new AudioSwitch({ silence }, () => t.fail('no sound file has ended'));
  t.strictSame(heard(audio, 0, 1), ['live 0']);
  audio.mute();
  audio.mute();
  const [heardNow] = heard(audio, 1, 1);
  t.equal(heardNow, 'silence');
  t.ok(audio.muted);
  audio.unmute();
  t.strictSame(heard(audio, 2, 1), ['live 2']);
});

t.test('a sound file replaces live audio and silence, which return at its end', async (t) => {
  let ended = 0;
  const audio = new AudioSwitch({ silence }, () => ended++);
  audio.mute();
  audio.soundOn(clip, false);
  t.ok(audio.soundEnabled);
  const [a, b, c, after] = heard(audio, 0, 4);
  t.strictSame([a, b, c], ['a', 'b', 'c']);
  t.equal(ended, 1);
  t.notOk(audio.soundEnabled);
  t.equal(after, 'silence', 'muted as before');
});

t.test('a sound file that ends in the middle of a group', async (t) => {
  const audio = new AudioSwitch({ silence }, () => {});
  audio.soundOn(clip, false);
  const group = new TagGroup(Array.from({ length: 4 }, (_, i) => live(i)));
  t.strictSame(
    audio.apply(group, 0)!.tags.map(({ data }) => data.toString()),
    ['a', 'b', 'c', 'live 3'],
  );
});

t.test('looped until it is switched off; restarted by another sound_on', async (t) => {
  const audio = new AudioSwitch({ silence }, () => t.fail('a loop has no end'));
  audio.soundOn(clip, true);
  t.strictSame(heard(audio, 0, 5), ['a', 'b', 'c', 'a', 'b']);
  audio.soundOn(clip, true);
  t.strictSame(heard(audio, 5, 1), ['a']);
  audio.soundOff();
  audio.soundOff();
  t.strictSame(heard(audio, 6, 1), ['live 6']);
});

t.test('video frames and sequence headers are not changed', async (t) => {
  const audio = new AudioSwitch({ silence }, () => {});
  audio.mute();
  const frame: FlvTag = { ...live(0), type: TAG_VIDEO };
  const header: FlvTag = { ...live(0), sequenceHeader: true };
  t.strictSame(audio.apply(new TagGroup([frame, header]), 0)!.tags, [frame, header]);
  audio.unmute();
  const group = new TagGroup([frame, live(1)]);
  t.equal(audio.apply(group, 0), group, 'and all that needs no exchange, as the group that others get');
});

t.test('two legs play the same at the same time, though their timestamps differ', async (t) => {
  let ended = 0;
  const audio = new AudioSwitch({ silence }, () => ended++);
  audio.soundOn(clip, false);
  const play = (timeMs: number, baseMs: number): string =>
    audio.apply(new TagGroup([live(timeMs - baseMs)]), baseMs)!.tags[0]!.data.toString();
  t.equal(play(1000, 1000), 'a');
  t.strictSame([play(1020, 1000), play(1020, 1020)], ['b', 'b']);
  t.strictSame([play(1040, 1000), play(1040, 1020)], ['c', 'c'], 'the last one as well');
  t.strictSame([play(1060, 1000), play(1060, 1020)], ['live 60', 'live 40']);
  t.equal(ended, 1);

  audio.soundOn(clip, true);
  t.strictSame([play(1080, 1000), play(1100, 1000)], ['a', 'b']);
  t.equal(play(1070, 1070), 'live 0', 'a leg that begins in the past does not advance the file');
  t.strictSame([play(1100, 1070), play(1120, 1000), play(1120, 1070)], ['b', 'c', 'c']);
  audio.soundOff();
  for (let ms = 0; ms < 20_000; ms += 20) play(2000 + ms, 1000);
  const group = new TagGroup([live(1)]);
  t.equal(audio.apply(group, 0), group, 'nothing is kept');
});
