import t from 'tap';
import { ParameterSetStore } from '../../src/media/codecs/avc-parameter-sets.ts';
import { NAL_IDR_SLICE, nalType } from '../../src/media/codecs/avc-nal.ts';
import { presentationMs } from '../../src/media/containers/flv-tag.ts';
import { frameHashes } from '../helpers/ffmpeg-tool.ts';
import {
  encodeH264,
  flvOf,
  isParameterSet,
  sendFrames,
  type CodedFrame,
  type Sending,
} from '../helpers/h264-stream.ts';

/** What encoders send, played through the video pipeline: frames are compared with those of the encoder. */

const BASE = 'keyint=30:min-keyint=30:scenecut=0:repeat-headers=1';

const MARKERS: Record<string, Sending['marker']> = {
  'on the last packet': undefined,
  'on each slice': (_isLast, _index) => true,
  'on the first slice only': (_isLast, index) => index === 0,
  never: () => false,
};

t.test('four slices', async (t) => {
  const { frames, file } = await encodeH264(`${BASE}:slices=4:bframes=0`);
  const expected = await frameHashes(['-f', 'flv', '-i', 'pipe:0'], file);
  for (const [name, marker] of Object.entries(MARKERS)) {
    const tags = await sendFrames(frames, marker && { marker });
    t.same(await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flvOf(tags)), expected, `marker ${name}`);
    t.equal(tags.filter(({ sequenceHeader }) => !sequenceHeader).length, frames.length);
    t.ok(
      tags.every((tag) => tag.sequenceHeader || presentationMs(tag) === tag.timestamp),
      'without composition times',
    );
  }
});

t.test('B-frames', async (t) => {
  for (const params of [
    'bframes=1:b-adapt=0',
    'bframes=3:b-pyramid=none',
    'bframes=3:b-pyramid=normal:b-adapt=0',
    'bframes=2:open-gop=1',
  ]) {
    const { frames, file } = await encodeH264(`${BASE}:${params}`);
    const tags = (await sendFrames(frames)).filter(({ sequenceHeader }) => !sequenceHeader);
    const all = await sendFrames(frames);
    t.same(
      await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flvOf(all)),
      await frameHashes(['-f', 'flv', '-i', 'pipe:0'], file),
      params,
    );
    const steps = tags.slice(1).map((tag, index) => tag.timestamp - tags[index]!.timestamp);
    t.ok(
      steps.every((step) => step >= 32 && step <= 35),
      `${params}: even decoding times ${steps.join()}`,
    );
    const offsetMs = presentationMs(tags[0]!) - frames[0]!.presentMs;
    t.ok(
      tags.every((tag, index) => Math.abs(presentationMs(tag) - offsetMs - frames[index]!.presentMs) <= 1),
      `${params}: the presentation is that of the encoder`,
    );
    t.ok(tags.every((tag) => presentationMs(tag) >= tag.timestamp));
  }
});

t.test('intra refresh without IDR frames, joined in the middle', async (t) => {
  const { frames, file } = await encodeH264(`keyint=15:intra-refresh=1:repeat-headers=1:bframes=0`, 3);
  const expected = await frameHashes(['-f', 'flv', '-i', 'pipe:0'], file);
  const joined = frames.slice(20);
  t.notOk(joined.some(({ nalUnits }) => nalUnits.some((nalUnit) => nalType(nalUnit) === NAL_IDR_SLICE)));
  const tags = await sendFrames(joined);
  t.equal(
    tags.findIndex(({ keyFrame, sequenceHeader }) => keyFrame && !sequenceHeader),
    1,
  );
  const decoded = await frameHashes(['-f', 'flv', '-flags', '+output_corrupt', '-i', 'pipe:0'], flvOf(tags));
  t.same(decoded.slice(-20), expected.slice(-20), 'after the refresh');
});

t.test('open groups of frames, joined at a frame that is not IDR', async (t) => {
  const { frames, file } = await encodeH264(`${BASE}:bframes=2:open-gop=1`, 3);
  const expected = await frameHashes(['-f', 'flv', '-i', 'pipe:0'], file);
  const tags = await sendFrames(frames.slice(10));
  const decoded = await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flvOf(tags));
  t.ok(decoded.length > 50 && decoded.length < 80, `${decoded.length} frames`);
  t.same(decoded, expected.slice(-decoded.length));
});

t.test('parameter sets that are not repeated', async (t) => {
  const { frames, file } = await encodeH264(`${BASE}:bframes=0`);
  const expected = await frameHashes(['-f', 'flv', '-i', 'pipe:0'], file);
  const without = ({ nalUnits }: CodedFrame): Buffer[] => nalUnits.filter((nalUnit) => !isParameterSet(nalUnit));
  const once = await sendFrames(frames, { units: (frame, index) => (index === 0 ? frame.nalUnits : without(frame)) });
  t.same(await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flvOf(once)), expected, 'sent once');

  const parameterSets = new ParameterSetStore();
  for (const set of frames[0]!.nalUnits.filter(isParameterSet)) parameterSets.take(set);
  const known = await sendFrames(frames, { units: without, track: { parameterSets } });
  t.same(await frameHashes(['-f', 'flv', '-i', 'pipe:0'], flvOf(known)), expected, 'known from elsewhere');
});
