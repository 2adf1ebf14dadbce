import fc from 'fast-check';
import t from 'tap';
import { onMetaData, parseOnMetaData } from '../../../../src/media/containers/script-data.ts';
import { encodeAmf0 } from '../../../../src/media/amf0.ts';

const hex = (text: string): string => Buffer.from(text).toString('hex');

t.test('a round trip keeps values; unknown values are left out', async (t) => {
  const metadata = {
    width: 1280,
    height: 720,
    frameRate: 29.97,
    videoBitrate: 2500,
    audioBitrate: 128,
    audioSampleRate: 48_000,
    audioChannels: 2,
    videoCodecId: 7,
    audioCodecId: 10,
  };
  t.same(parseOnMetaData(onMetaData(metadata)), metadata);
  t.same(parseOnMetaData(onMetaData({})), {});
  const body = onMetaData({ width: 640, audioChannels: 1 }).toString('hex');
  // A string of 10 characters, then an ECMA array.
  t.ok(body.startsWith(`02000a${hex('onMetaData')}08`));
  t.ok(body.includes(`${hex('stereo')}0100`));
  t.notOk(body.includes(hex('height')));
});

t.test('with @setDataFrame in front, and as an object', async (t) => {
  t.same(
    parseOnMetaData(
      encodeAmf0('@setDataFrame', 'onMetaData', { width: 640, framerate: 25, encoder: 'x', height: 'tall' }),
    ),
    { width: 640, frameRate: 25 },
  );
});

t.test('returns undefined for anything else than onMetaData', async (t) => {
  for (const body of [
    Buffer.alloc(0),
    Buffer.from('nonsense'),
    encodeAmf0('onCuePoint', {}),
    encodeAmf0('onMetaData'),
    encodeAmf0('onMetaData', null),
    encodeAmf0('onMetaData', [1]),
  ])
    t.equal(parseOnMetaData(body), undefined);
});

t.test('any bytes: never throws', async (t) => {
  const start = onMetaData({ width: 1 }).subarray(0, 13);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void parseOnMetaData(Buffer.concat([start, bytes]))),
  );
});
