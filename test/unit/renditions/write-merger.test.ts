import t from 'tap';
import { WriteMerger } from '../../../src/renditions/write-merger.ts';
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
  merger.video(frame(33));
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

t.test('each frame is sent at once', async (t) => {
  const { merger, sent } = createMerger();
  for (let ms = 0; ms < 200; ms += 33) {
    merger.video(frame(ms));
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

t.test('a sequence header is sent at once, after the audio that waits', async (t) => {
  const { merger, sent } = createMerger();
  merger.audio(audio(90), 90, true);
  merger.video({ ...frame(100), sequenceHeader: true });
  t.equal(sent(), 'S90 H100');
  merger.video(frame(100, true));
  t.equal(sent(), 'K100');
});
