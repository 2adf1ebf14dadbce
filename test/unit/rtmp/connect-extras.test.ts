import t from 'tap';
import { EcmaArray } from '../../../src/media/amf0.ts';
import {
  announcedCodecs,
  codecExtras,
  includesCodec,
  mayOffend,
  NO_EXTRAS,
  RECONNECT_ONLY,
} from '../../../src/rtmp/connect-extras.ts';

const read = (...values: Parameters<typeof announcedCodecs>[0]) => {
  const { video, audio } = announcedCodecs(values);
  return { video: video && [...video], audio: audio && [...audio] };
};
const status = { level: 'status', code: 'NetConnection.Connect.Success', description: 'Connected' };

t.test('connect announces what the gateway does with each codec of the tracks that may be sent in it', (t) => {
  t.strictSame(codecExtras({ video: true, audio: true }), {
    capsEx: 1,
    videoFourCcInfoMap: { avc1: 6, vp08: 4, vp09: 4, av01: 4 },
    audioFourCcInfoMap: { mp4a: 2, Opus: 4 },
    fourCcList: ['avc1', 'vp08', 'vp09', 'av01', 'mp4a', 'Opus'],
  });
  t.strictSame(codecExtras({ video: false, audio: true }), {
    capsEx: 1,
    audioFourCcInfoMap: { mp4a: 2, Opus: 4 },
    fourCcList: ['mp4a', 'Opus'],
  });
  t.equal(codecExtras({ video: false, audio: false }), RECONNECT_ONLY);
  t.notOk(mayOffend(RECONNECT_ONLY), 'as before');
  t.notOk(mayOffend(NO_EXTRAS));
  t.ok(mayOffend(codecExtras({ video: true, audio: false })));
  t.end();
});

t.test('a server that says nothing, or repeats what it was sent, has announced nothing', (t) => {
  const nothing = { video: undefined, audio: undefined };
  t.strictSame(read(), nothing);
  t.strictSame(read({ fmsVer: 'FMS/3,0,1,123', capabilities: 31 }, status), nothing);
  const sent = { app: 'live', tcUrl: 'rtmp://host/live', ...codecExtras({ video: true, audio: true }) };
  t.strictSame(read(sent, status), nothing, 'an echo');
  for (const value of [1, 'av01', null, true, [1, null, {}], {}])
    t.strictSame(read({ videoFourCcInfoMap: value, fourCcList: value }).audio, undefined);
  t.end();
});

t.test('maps and lists are read in all forms in which servers write them', (t) => {
  const maps = { videoFourCcInfoMap: { av01: 1, vp09: 4, hvc1: 7 }, audioFourCcInfoMap: { Opus: 1 } };
  t.strictSame(read(maps, status), { video: ['av01', 'vp09', 'hvc1'], audio: ['Opus'] });
  t.strictSame(read(null, { ...status, ...maps }), { video: ['av01', 'vp09', 'hvc1'], audio: ['Opus'] });
  const array = new EcmaArray({ videoFourCcInfoMap: new EcmaArray({ '*': 4 }) });
  t.strictSame(read(array), { video: ['*'], audio: undefined });
  t.strictSame(read({ fourCcList: ['av01', 'vp09'] }), { video: ['av01', 'vp09'], audio: undefined }, 'of version 1');
  t.strictSame(read({ fourCcList: ['av01', 'Opus'] }), { video: ['av01'], audio: ['Opus'] });
  t.strictSame(read({ fourCcList: ['*'] }), { video: ['*'], audio: ['*'] });
  t.strictSame(
    read({ videoFourCcInfoMap: { av01: 2, vp09: 0, vp08: '4', toolong: 4 } }),
    { video: [], audio: undefined },
    'a codec that it only encodes is not taken',
  );
  t.ok(includesCodec(new Set(['*']), 'av01'));
  t.notOk(includesCodec(new Set(['vp09']), 'av01'));
  t.end();
});

t.test('an answer of many codecs is bounded', (t) => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [String(index).padStart(4, 'x'), 4]));
  t.ok(read({ videoFourCcInfoMap: many }).video!.length <= 64);
  t.ok(read({ fourCcList: Object.keys(many) }).video!.length <= 64);
  t.end();
});
