import fc from 'fast-check';
import t from 'tap';
import { aacFrame, aacSequenceHeader } from '../../../src/media/codecs/aac.ts';
import { avcFrame, avcSequenceHeader } from '../../../src/media/codecs/avc.ts';
import { flvTag, TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { StreamMeter } from '../../../src/media/stream-meter.ts';
import { createFlvTags } from '../../helpers/flv-source.ts';
import { H264_PARAMETER_SETS } from '../../helpers/fake-publisher.ts';

const [SPS, PPS] = H264_PARAMETER_SETS as [Buffer, Buffer];
const videoHeader = flvTag(TAG_VIDEO, 0, avcSequenceHeader(SPS, [PPS]));
const audioHeader = flvTag(TAG_AUDIO, 0, aacSequenceHeader(44_100, 2));

const P_SLICE = Buffer.of(0x41, 0x9a);
const B_SLICE = Buffer.of(0x01, 0xa8);
const SEI = Buffer.of(0x06, 0xa8, 0x00);
function frame(ms: number, { key = false, bytes = 1000, nalUnits = [P_SLICE], composition = 0 } = {}): FlvTag {
  const units = nalUnits.map((unit) => [unit]);
  return flvTag(TAG_VIDEO, ms, avcFrame([...units, [Buffer.alloc(bytes)]], key, composition));
}
const sound = (ms: number, bytes = 100): FlvTag => flvTag(TAG_AUDIO, ms, aacFrame(Buffer.alloc(bytes)));

function feed(
  meter: StreamMeter,
  fromMs: number,
  untilMs: number,
  { fps = 25, keyEveryMs = 2000, bytes = 1000 } = {},
): void {
  for (let i = 0; ; i++) {
    const ms = fromMs + Math.round((i * 1000) / fps);
    if (ms > untilMs) return;
    meter.take(frame(ms, { key: (ms - fromMs) % keyEveryMs === 0, bytes }));
    if (i % 2 === 0) meter.take(sound(ms));
  }
}

function started(): StreamMeter {
  const meter = new StreamMeter();
  for (const header of [videoHeader, audioHeader]) meter.take(header);
  return meter;
}

t.test('it measures what ffmpeg was told to encode', async (t) => {
  const meter = new StreamMeter();
  for (const tag of await createFlvTags({ seconds: 8, size: '640x360', videoBitrate: '800k' })) meter.take(tag);
  const { video, audio, windowMs } = meter.measure();
  t.ok(windowMs > 7900);
  t.match(video, { codec: 'h264', width: 640, height: 360, bFrames: false, level: Number });
  t.ok(Math.abs(video!.frameRate - 30) < 0.2, `${video!.frameRate}`);
  t.ok(Math.abs(video!.keyFrameIntervalMs - 1000) < 40, `${video!.keyFrameIntervalMs}`);
  t.ok(Math.abs(video!.bitrate - 800) < 80, `${video!.bitrate}`);
  t.ok(video!.peakBitrate >= video!.bitrate * 0.95 && video!.peakBitrate < 1400, `${video!.peakBitrate}`);
  t.match(audio, { codec: 'aac', sampleRate: 48_000, channels: 1 });
});

t.test('only the last ten seconds count', async (t) => {
  const meter = started();
  feed(meter, 0, 20_000, { bytes: 10_000, keyEveryMs: 8000 });
  feed(meter, 20_040, 31_000, { bytes: 1000, keyEveryMs: 1000 });
  const { video, windowMs } = meter.measure();
  t.equal(windowMs, 10_000);
  t.ok(Math.abs(video!.bitrate - 203) < 5, `${video!.bitrate}`);
  t.equal(video!.keyFrameIntervalMs, 1000);
  t.match(video, { width: 1920, height: 1080, profile: 66 });
});

t.test('an interval that has not ended counts, also when it is longer than the window', async (t) => {
  const meter = started();
  feed(meter, 0, 25_000, { keyEveryMs: Infinity });
  t.equal(meter.measure().video!.keyFrameIntervalMs, 25_000);
});

t.test('what was seen of the first interval counts, but not the time before the video', async (t) => {
  const meter = started();
  for (let ms = 0; ms < 3000; ms += 40) meter.take(sound(ms));
  for (let ms = 3000; ms < 7000; ms += 40) meter.take(frame(ms));
  feed(meter, 7000, 8000);
  t.equal(meter.measure().video!.keyFrameIntervalMs, 4000);
  const late = started();
  for (let ms = 0; ms < 5000; ms += 40) late.take(sound(ms));
  feed(late, 5000, 6000);
  t.equal(late.measure().video!.keyFrameIntervalMs, 1000);
});

t.test('B-frames are seen by their slices, behind other units, and by their composition times', async (t) => {
  for (const [tag, expected] of [
    [frame(40), false],
    [frame(40, { nalUnits: [B_SLICE] }), true],
    [frame(40, { nalUnits: [SEI, B_SLICE] }), true],
    [frame(40, { nalUnits: [SEI, P_SLICE] }), false],
    [frame(40, { composition: 80 }), true],
  ] as const) {
    const meter = started();
    meter.take(frame(0, { key: true }));
    meter.take(tag);
    t.equal(meter.measure().video!.bFrames, expected);
    feed(meter, 80, 12_000);
    t.equal(meter.measure().video!.bFrames, false, 'forgotten after ten seconds');
  }
});

t.test('a camera that stops is missing after the window, its rate falls before', async (t) => {
  const meter = started();
  feed(meter, 0, 10_000);
  for (let ms = 10_000; ms <= 15_000; ms += 40) meter.take(sound(ms));
  t.ok(meter.measure().video!.frameRate < 13);
  t.equal(meter.measure().video!.keyFrameIntervalMs, 2000, 'key frames are not missing while no frame comes');
  for (let ms = 15_040; ms <= 21_000; ms += 40) meter.take(sound(ms));
  t.equal(meter.measure().video, undefined);
  t.match(meter.measure().audio, { sampleRate: 44_100, channels: 2 });
});

t.test('after a reset nothing is known but the headers; another timeline is a reset', async (t) => {
  const meter = started();
  feed(meter, 0, 5000);
  meter.reset();
  t.strictSame(meter.measure(), { windowMs: 0 });
  feed(meter, 100_000, 101_000);
  t.match(meter.measure(), { windowMs: 1000, video: { width: 1920 } });
  feed(meter, 5_000_000, 5_002_000);
  t.match(meter.measure(), { windowMs: 2000, video: { keyFrameIntervalMs: 2000 } });
});

t.test('other codecs have fixed formats', async (t) => {
  const meter = new StreamMeter();
  meter.take(flvTag(TAG_AUDIO, 0, Buffer.of(0x82, 1, 2)));
  meter.take(flvTag(TAG_AUDIO, 20, Buffer.of(0x82, 1, 2)));
  t.match(meter.measure().audio, { codec: 'pcmu', sampleRate: 8000, channels: 1 });
});

t.test('malformed tags do not throw, and memory is bounded', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(TAG_AUDIO, TAG_VIDEO), fc.nat(), fc.uint8Array({ maxLength: 40 }))),
      (tags) => {
        const meter = new StreamMeter();
        for (const [type, ms, data] of tags) meter.take(flvTag(type, ms, Buffer.from(data)));
        const { video } = meter.measure();
        return video === undefined || Number.isFinite(video.frameRate + video.bitrate + video.keyFrameIntervalMs);
      },
    ),
  );
  const meter = started();
  for (let i = 0; i < 100_000; i++) meter.take(frame(i % 2, { bytes: 1 }));
  t.ok(Number.isFinite(meter.measure().video!.frameRate));
});
