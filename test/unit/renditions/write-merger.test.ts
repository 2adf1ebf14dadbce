import t from 'tap';
import { MANY_DESTINATIONS, WriteMerger } from '../../../src/renditions/write-merger.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';

const frame = (timestamp: number, keyFrame = false): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.alloc(1),
  keyFrame,
  sequenceHeader: false,
});
const audio = (timestamp: number): FlvTag => ({
  type: TAG_AUDIO,
  timestamp,
  data: Buffer.alloc(1),
  keyFrame: false,
  sequenceHeader: false,
});

/** A merger, and what it has sent since the last call of `sent`: H, K, P and S for header, key frame, frame and audio, with timestamps. */
function createMerger(): { merger: WriteMerger; sent(): string } {
  let tags: string[] = [];
  const merger = new WriteMerger(
    (sent) =>
      void tags.push(
        ...sent.map(
          (tag) =>
            `${tag.type === TAG_AUDIO ? 'S' : tag.sequenceHeader ? 'H' : tag.keyFrame ? 'K' : 'P'}${tag.timestamp}`,
        ),
      ),
  );
  return {
    merger,
    sent: () => {
      const text = tags.join(' ');
      tags = [];
      return text;
    },
  };
}

t.test('audio is sent with the next frame, before it', async (t) => {
  const { merger, sent } = createMerger();
  merger.audio(audio(0), 0, true);
  merger.audio(audio(21), 20, true);
  t.equal(sent(), '');
  merger.frame(frame(33), 33, 1);
  t.equal(sent(), 'S0 S21 P33');
});

t.test('audio of a stream without video does not wait', async (t) => {
  const { merger, sent } = createMerger();
  merger.audio(audio(0), 0, false);
  t.equal(sent(), 'S0');
});

t.test('audio does not wait long for a frame that does not arrive', async (t) => {
  const { merger, sent } = createMerger();
  merger.audio(audio(0), 100, true);
  merger.tick(120);
  t.equal(sent(), '');
  merger.audio(audio(21), 150, true);
  merger.tick(160);
  t.equal(sent(), 'S0 S21');
  merger.tick(1000);
  t.equal(sent(), '');
});

t.test('few destinations: each frame is sent at once', async (t) => {
  const { merger, sent } = createMerger();
  for (let ms = 0; ms < 200; ms += 33) {
    merger.frame(frame(ms), ms, MANY_DESTINATIONS - 1);
    t.equal(sent(), `P${ms}`);
  }
});

t.test('many destinations: frames are sent in pairs, in order with the audio', async (t) => {
  const { merger, sent } = createMerger();
  merger.frame(frame(0, true), 0, MANY_DESTINATIONS);
  t.equal(sent(), 'K0', 'a key frame does not wait');
  merger.frame(frame(33), 33, MANY_DESTINATIONS);
  merger.audio(audio(20), 50, true);
  t.equal(sent(), '');
  merger.frame(frame(66), 66, MANY_DESTINATIONS);
  t.equal(sent(), 'P33 S20 P66');
  merger.frame(frame(100), 100, MANY_DESTINATIONS);
  t.equal(sent(), '');
  merger.frame(frame(133, true), 133, MANY_DESTINATIONS);
  t.equal(sent(), 'P100 K133');
  merger.frame(frame(166), 166, MANY_DESTINATIONS);
  merger.tick(225);
  t.equal(sent(), '');
  merger.tick(226);
  t.equal(sent(), 'P166', 'the last one before a pause');
  merger.frame(frame(500), 500, MANY_DESTINATIONS);
  t.equal(sent(), 'P500', 'and the first one after it');
});

t.test('frames of a low frame rate do not wait for each other', async (t) => {
  const { merger, sent } = createMerger();
  for (let ms = 0; ms < 1000; ms += 100) {
    merger.frame(frame(ms), ms, 100);
    t.equal(sent(), `P${ms}`);
  }
});

t.test('nothing is sent twice', async (t) => {
  const { merger, sent } = createMerger();
  merger.audio(audio(1), 1, true);
  merger.flush();
  merger.flush();
  t.equal(sent(), 'S1');
});

t.test('a header keeps its place and is sent at once', async (t) => {
  const { merger, sent } = createMerger();
  merger.frame(frame(33, true), 33, MANY_DESTINATIONS);
  sent();
  merger.frame(frame(66), 66, MANY_DESTINATIONS);
  t.equal(sent(), '');
  merger.header({ ...frame(100), sequenceHeader: true }, 100);
  merger.frame(frame(100, true), 100, MANY_DESTINATIONS);
  t.equal(sent(), 'P66 H100 K100');
});
