import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { OutputQueue, type OutputQueueRules } from '../../../src/outputs/output-queue.ts';

const unbuffered: OutputQueueRules = {
  enabled: false,
  initialMs: 2000,
  startMs: 300,
  maxBufferings: -1,
  queueWhenFull: true,
};
const buffered: OutputQueueRules = { ...unbuffered, enabled: true };

const video = (timestamp: number, keyFrame = false, bytes = 1000): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.alloc(bytes),
  keyFrame,
  sequenceHeader: false,
});
const audio = (timestamp: number): FlvTag => ({
  type: TAG_AUDIO,
  timestamp,
  data: Buffer.alloc(100),
  keyFrame: false,
  sequenceHeader: false,
});
const header = (timestamp: number): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.alloc(40),
  keyFrame: true,
  sequenceHeader: true,
});

const push = (buffer: OutputQueue, tag: FlvTag, nowMs: number): void => buffer.push(new TagGroup([tag]), nowMs);

function setUp(rules: OutputQueueRules) {
  const sent: FlvTag[] = [];
  const sink = { writable: true, write: ({ tags }: TagGroup) => void sent.push(...tags) };
  let wanted = 0;
  const buffer = new OutputQueue(rules, sink, () => wanted++);
  return { sent, sink, buffer, wanted: () => wanted };
}

/** `seconds` of 25 frames and 50 audio frames a second, a key frame every 2 s. */
function* media(seconds: number): Generator<FlvTag> {
  for (let ms = 0; ms < seconds * 1000; ms += 20) {
    if (ms % 40 === 0) yield video(ms, ms % 2000 === 0);
    yield audio(ms);
  }
}

t.test('unbuffered: passed on at once while the sink is writable', async (t) => {
  const { sent, buffer } = setUp(unbuffered);
  const tags = [...media(3)];
  for (const tag of tags) push(buffer, tag, tag.timestamp);
  t.strictSame(sent, tags);
  t.equal(buffer.bytes, 0);
  t.equal(buffer.bufferedMs, 0);
});

t.test('a short pause of the sink loses nothing and keeps the order', async (t) => {
  const { sent, sink, buffer } = setUp(unbuffered);
  const tags = [...media(6)];
  for (const tag of tags) {
    sink.writable = tag.timestamp < 1000 || tag.timestamp > 4000;
    // Twice as fast as real time: only rtmp_out_buffer_enabled paces output.
    push(buffer, tag, tag.timestamp / 2);
  }
  t.strictSame(sent, tags);
  t.equal(buffer.framesDropped, 0);
});

t.test('queued tags are sent in pieces while the sink is writable', async (t) => {
  const { sent, sink, buffer } = setUp(unbuffered);
  sink.writable = false;
  for (let ms = 0; ms < 400; ms += 10) push(buffer, video(ms, ms === 0), ms);
  sink.write = ({ tags }) => {
    sent.push(...tags);
    sink.writable = false;
  };
  sink.writable = true;
  buffer.pump(400);
  t.strictSame([sent.length, buffer.bytes], [17, 23_000], '16 KiB');
});

t.test('a sink that takes nothing: bounded, whole groups are lost, headers and audio are kept', async (t) => {
  const { sent, sink, buffer, wanted } = setUp(unbuffered);
  sink.writable = false;
  let most = 0;
  let longest = 0;
  for (const tag of media(60)) {
    if ((tag.timestamp === 28_000 || tag.timestamp === 30_000) && tag.type === TAG_VIDEO)
      push(buffer, header(tag.timestamp), tag.timestamp);
    push(buffer, tag, tag.timestamp);
    most = Math.max(most, buffer.bytes);
    longest = Math.max(longest, buffer.bufferedMs);
  }
  t.ok(longest <= 5020, `holds ${longest} ms at most`);
  t.ok(most < 500_000, `holds ${most} bytes at most`);
  t.ok(buffer.framesDropped > 1000, `${buffer.framesDropped} frames dropped`);
  t.ok(wanted() >= 0);

  sink.writable = true;
  buffer.pump(60_000);
  const frames = sent.filter((tag) => tag.type === TAG_VIDEO && !tag.sequenceHeader);
  t.ok(frames[0]?.keyFrame, 'it goes on with a key frame');
  t.equal(frames.length + buffer.framesDropped, 1500);
  t.equal(buffer.bytes, 0);
  t.ok(
    sent.some((tag) => tag.sequenceHeader),
    'the header of the frames that follow is there',
  );
  t.strictSame(
    sent.map(({ timestamp }) => timestamp),
    sent.map(({ timestamp }) => timestamp).sort((a, b) => a - b),
    'in order',
  );
});

t.test(
  'no key frame in the queue: all frames are dropped, a key frame is requested, and video continues with it',
  async (t) => {
    const { sent, sink, buffer, wanted } = setUp(unbuffered);
    sink.writable = false;
    push(buffer, video(0, true), 0);
    for (let ms = 40; ms <= 6000; ms += 40) push(buffer, video(ms), ms);
    t.equal(wanted(), 1);
    sink.writable = true;
    push(buffer, video(6040), 6040);
    push(buffer, video(6080, true), 6080);
    push(buffer, video(6120), 6120);
    t.strictSame(
      sent.map(({ timestamp }) => timestamp),
      [6080, 6120],
    );
    t.equal(buffer.framesDropped, 152);
  },
);

t.test('bytes are bounded too: 4K key frames', async (t) => {
  const { sink, buffer } = setUp(unbuffered);
  sink.writable = false;
  for (let i = 0; i < 20; i++) push(buffer, video(i * 100, true, 4 * 1024 * 1024), i * 100);
  t.ok(buffer.bytes <= 16 * 1024 * 1024, `${buffer.bytes} bytes`);
  t.ok(buffer.framesDropped >= 16);
});

t.test(
  'rtmp.server_buffer_enabled=false: what the sink does not take at once is dropped in whole groups',
  async (t) => {
    const { sent, sink, buffer } = setUp({ ...unbuffered, queueWhenFull: false });
    push(buffer, video(0, true), 0);
    sink.writable = false;
    for (let ms = 40; ms < 400; ms += 40) push(buffer, video(ms), ms);
    sink.writable = true;
    buffer.pump(400);
    push(buffer, video(400), 400);
    push(buffer, video(440, true), 440);
    t.ok(
      sent.every((tag, i) => i === 0 || tag.timestamp >= 400 || tag.timestamp === 40),
      sent.map(({ timestamp }) => timestamp).join(),
    );
    t.equal(sent.at(-1)!.timestamp, 440);
    t.ok(buffer.framesDropped >= 8);
  },
);

t.test('buffered: nothing before the initial size, then at the pace of the timestamps', async (t) => {
  const { sent, buffer } = setUp(buffered);
  const tags = [...media(6)];
  for (let nowMs = 0; nowMs < 6000; nowMs += 20) {
    for (const tag of tags) if (tag.timestamp === nowMs) push(buffer, tag, nowMs);
    if (nowMs % 60 === 0) buffer.pump(nowMs);
    if (nowMs === 1980) t.equal(sent.length, 0);
  }
  const last = sent.at(-1)!;
  t.ok(Math.abs(6000 - last.timestamp - 2000) <= 100, `2 s behind: ${6000 - last.timestamp} ms`);
  t.ok(Math.abs(buffer.bufferedMs - 2000) <= 100, `bufferMs ${buffer.bufferedMs}`);
});

t.test(
  'buffered, rtmp.server_buffer_enabled=false: nothing is lost while the sink is writable, and the queue is bounded otherwise',
  async (t) => {
    const { sent, sink, buffer } = setUp({ ...buffered, queueWhenFull: false });
    const tags = [...media(10)];
    for (let nowMs = 0, next = 0; nowMs < 14_000; nowMs += 20) {
      while (next < tags.length && tags[next]!.timestamp + 150 <= nowMs) push(buffer, tags[next++]!, nowMs);
      if (nowMs % 60 === 0) buffer.pump(nowMs);
    }
    t.strictSame(sent, tags);
    t.equal(buffer.framesDropped, 0);

    sink.writable = false;
    for (const tag of media(60)) push(buffer, { ...tag, timestamp: tag.timestamp + 14_000 }, tag.timestamp + 14_000);
    t.ok(buffer.bufferedMs <= 7020, `holds ${buffer.bufferedMs} ms`);
  },
);

t.test('buffered: a long delay may hold more bytes', async (t) => {
  for (const delay of [{ initialMs: 20_000 }, { initialMs: 0, startMs: 20_000 }]) {
    const { sent, buffer } = setUp({ ...buffered, ...delay });
    for (let ms = 0; ms <= 22_000; ms += 40) {
      push(buffer, video(ms, ms % 2000 === 0, 40_000), ms);
      buffer.pump(ms);
    }
    t.strictSame(
      sent.slice(0, 2).map(({ timestamp }) => timestamp),
      [0, 40],
      '8 Mbit/s',
    );
    t.equal(buffer.framesDropped, 0);
  }
});

t.test('buffered: input in bursts is sent evenly', async (t) => {
  const { sent, buffer } = setUp(buffered);
  const tags = [...media(10)];
  const sentAt: number[] = [];
  for (let nowMs = 0; nowMs < 11_000; nowMs += 20) {
    // One second of media at once, every second.
    if (nowMs % 1000 === 980)
      for (const tag of tags)
        if (Math.floor(tag.timestamp / 1000) === Math.floor(nowMs / 1000)) push(buffer, tag, nowMs);
    const before = sent.length;
    buffer.pump(nowMs);
    if (sent.length > before) sentAt.push(nowMs);
  }
  const gaps = sentAt.slice(1).map((at, i) => at - sentAt[i]!);
  t.ok(Math.max(...gaps) <= 40, `largest gap ${Math.max(...gaps)} ms`);
});

t.test('buffered: after an interruption the start size is collected again, as often as allowed', async (t) => {
  for (const [maxBufferings, expected] of [
    [-1, true],
    [1, true],
    [0, false],
  ] as const) {
    const { sent, buffer } = setUp({ ...buffered, maxBufferings });
    for (const tag of media(3)) push(buffer, tag, 0);
    for (let nowMs = 0; nowMs <= 4000; nowMs += 20) buffer.pump(nowMs);
    t.equal(buffer.bufferedMs, 0, 'ran empty');
    const before = sent.length;
    push(buffer, video(3000, true), 5000);
    buffer.pump(5000);
    t.equal(sent.length === before, expected, `max ${maxBufferings}: ${expected ? 'collects' : 'goes on at once'}`);
    for (let ms = 3020; ms <= 3400; ms += 20) push(buffer, audio(ms), 5020 + ms - 3000);
    buffer.pump(5420);
    t.ok(sent.length > before, 'goes on');
  }
});
