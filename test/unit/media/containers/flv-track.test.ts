import t from 'tap';
import { TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { isSameTrack } from '../../../../src/media/containers/flv-track.ts';

const header = (fourcc: string, record: readonly number[], width = 640): FlvTag => ({
  type: TAG_VIDEO,
  timestamp: 0,
  data: Buffer.concat([Buffer.of(0x90), Buffer.from(fourcc), Buffer.from(record)]),
  keyFrame: false,
  sequenceHeader: true,
  frameSize: { width, height: 480 },
});

t.test('VP9: level, range and colours may change; profile, bit depth, sampling and size may not', async (t) => {
  const before = header('vp09', [0, 30, 0x82, 2, 2, 2, 0, 0]);
  t.equal(isSameTrack(before, header('vp09', [0, 31, 0x83, 1, 1, 1, 0, 0])), true);
  for (const record of [
    [1, 30, 0x82, 2, 2, 2, 0, 0],
    [0, 30, 0xa2, 2, 2, 2, 0, 0],
    [0, 30, 0x86, 2, 2, 2, 0, 0],
  ])
    t.equal(isSameTrack(before, header('vp09', record)), false, String(record));
  t.equal(isSameTrack(before, header('vp09', [0, 30, 0x82, 2, 2, 2, 0, 0], 320)), false);
});

t.test('AV1: level, tier and the sequence header may change; profile, bit depth and sampling may not', async (t) => {
  const before = header('av01', [0x81, 0x05, 0x0c, 0, 10, 1]);
  t.equal(isSameTrack(before, header('av01', [0x81, 0x08, 0x8d, 0, 10, 2])), true);
  t.equal(isSameTrack(before, header('av01', [0x81, 0x25, 0x0c, 0])), false);
  t.equal(isSameTrack(before, header('av01', [0x81, 0x05, 0x4c, 0])), false);
  t.equal(isSameTrack(before, header('av01', [0x81, 0x05, 0x00, 0])), false);
});

t.test('another codec, and what cannot be read, is another track', async (t) => {
  const before = header('vp09', [0, 30, 0x82, 2, 2, 2, 0, 0]);
  t.equal(isSameTrack(before, header('vp08', [0, 30, 0x82, 2, 2, 2, 0, 0])), false);
  const broken: FlvTag = { ...before, data: Buffer.of(0x17, 0, 0, 0, 0, 1, 66, 0, 31, 0xff, 0xe1, 0, 9, 0x67) };
  t.equal(isSameTrack(broken, broken), false);
});
