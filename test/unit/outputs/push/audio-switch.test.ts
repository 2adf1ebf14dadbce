import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { OPUS_SAMPLE_RATE, opusPacketSamples, silentOpusPacket } from '../../../../src/media/codecs/opus-packet.ts';
import { opusFrame } from '../../../../src/media/containers/enhanced-tag.ts';
import { AudioSwitch } from '../../../../src/outputs/push/audio-switch.ts';

import { OPUS_FORMAT } from '../../../../src/renditions/audio-format.ts';

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

/** A live Opus packet of a length; its first byte says only that. */
const opus = (timestamp: number, milliseconds: number): FlvTag => ({
  ...live(timestamp),
  data: opusFrame(silentOpusPacket((milliseconds * OPUS_SAMPLE_RATE) / 1000)),
});
const packetOf = ({ data }: FlvTag): Buffer => data.subarray(5);

t.test('Opus: silence is as long as the packet that it replaces', async (t) => {
  const audio = new AudioSwitch(OPUS_FORMAT, () => {});
  audio.mute();
  let timestamp = 0;
  for (const [milliseconds, bytes] of [
    [20, 'f8fffe'],
    [2.5, 'e0fffe'],
    [5, 'e8fffe'],
    [10, 'f0fffe'],
    [40, 'fb02fffefffe'],
    [60, 'fb03fffefffefffe'],
    [120, 'fb06fffefffefffefffefffefffe'],
  ] as const) {
    const [tag] = audio.apply(new TagGroup([opus(timestamp, milliseconds)]), 0)!.tags;
    t.equal(tag!.timestamp, timestamp);
    t.equal(packetOf(tag!).toString('hex'), bytes);
    t.equal((opusPacketSamples(packetOf(tag!)) * 1000) / OPUS_SAMPLE_RATE, milliseconds);
    timestamp += milliseconds;
  }
});

t.test('Opus: a sound file keeps its pace, whatever the length of live packets, also when it changes', async (t) => {
  const frames = Array.from({ length: 50 }, (_, index) => Buffer.from(`frame ${index}`));
  for (const lengths of [[20], [10], [2.5], [40], [60], [120], [20, 60, 10, 10, 40, 2.5, 2.5, 5, 10]]) {
    const audio = new AudioSwitch(OPUS_FORMAT, () => {});
    audio.soundOn({ frames }, false);
    const played: FlvTag[] = [];
    let timestamp = 1000;
    for (let index = 0; timestamp < 2000; index++) {
      const milliseconds = lengths[index % lengths.length]!;
      played.push(...(audio.apply(new TagGroup([opus(Math.round(timestamp), milliseconds)]), 0)?.tags ?? []));
      timestamp += milliseconds;
    }
    const heard = played.filter(({ data }) => data.toString('latin1').startsWith('frame'));
    t.strictSame(
      heard.map(({ data }) => data),
      frames,
      `${lengths.join()} ms: each frame once, in order`,
    );
    t.ok(
      heard.every(({ timestamp: at }, index) => Math.abs(at - (1000 + 20 * index)) <= 3),
      'at its time',
    );
  }
});

t.test('Opus: both legs of a push play the same, and a hole in the live audio moves the file', async (t) => {
  const frames = Array.from({ length: 10 }, (_, index) => Buffer.from(`frame ${index}`));
  const audio = new AudioSwitch(OPUS_FORMAT, () => {});
  audio.soundOn({ frames }, true);
  const play = (timestamp: number, baseMs: number) =>
    (audio.apply(new TagGroup([opus(timestamp - baseMs, 40)]), baseMs)?.tags ?? []).map(
      ({ timestamp: at, data }) => `${at + baseMs} ${data.toString('latin1')}`,
    );
  t.strictSame(play(1000, 0), ['1000 frame 0', '1020 frame 1']);
  t.strictSame(play(1000, 600), ['1000 frame 0', '1020 frame 1']);
  t.strictSame(play(1500, 0), ['1500 frame 2', '1520 frame 3']);
});
