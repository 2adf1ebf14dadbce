import t from 'tap';
import {
  chooseCodecs,
  codecsView,
  mayPass,
  type CodecFacts,
} from '../../../../../src/outputs/push/codecs/codec-choice.ts';

const FACTS: CodecFacts = {
  video: 'auto',
  audio: 'auto',
  otherAudio: 'aac',
  transcodes: false,
  published: { video: 'av1', audio: 'opus' },
  host: {},
  dropped: new Set(),
};
const names = (...list: string[]): ReadonlySet<string> => new Set(list);
const choose = (facts: Partial<CodecFacts> = {}) => chooseCodecs({ ...FACTS, ...facts });
const pairOf = (facts: Partial<CodecFacts>): string => {
  const { video, audio } = choose(facts).pair;
  return `${video} ${audio}`;
};

t.test('silence is not consent: a server that says nothing gets H.264 and AAC', (t) => {
  for (const server of [undefined, {}]) t.equal(pairOf({ server }), 'h264 aac');
  t.equal(pairOf({ platform: { name: 'Twitch' } }), 'h264 aac', 'nor does a platform of which nothing is known');
  t.equal(choose({ server: {} }).why, 'the server did not announce av01; the server did not announce Opus');
  t.end();
});

t.test('with auto, what the server announces is passed through, each track for itself', (t) => {
  const video = names('av01', 'vp09');
  t.equal(pairOf({ server: { video } }), 'av1 aac');
  t.equal(pairOf({ server: { audio: names('Opus') } }), 'h264 opus');
  t.equal(pairOf({ server: { video: names('*'), audio: names('*') } }), 'av1 opus', 'or everything');
  t.equal(pairOf({ server: { video }, published: { video: 'vp8', audio: 'opus' } }), 'h264 aac');
  t.equal(pairOf({ server: { video }, published: { video: 'vp9', audio: 'pcmu' } }), 'vp9 aac');
  t.equal(pairOf({ server: { video }, published: { video: 'h264', audio: 'opus' } }), 'h264 aac');
  t.equal(
    choose({ server: { video, audio: names('mp4a') } }).why,
    'the server announced av01; the server did not announce Opus',
  );
  t.end();
});

t.test('the order of evidence: the answer, the platform, what was seen before', (t) => {
  const youtube = { name: 'YouTube', takes: ['avc1', 'av01', 'mp4a'] };
  t.equal(pairOf({ platform: youtube }), 'av1 aac');
  t.match(choose({ platform: youtube }).why, /YouTube takes av01; YouTube is not known to take Opus/);
  t.equal(pairOf({ platform: youtube, server: { video: names('vp09') } }), 'h264 aac', 'the answer counts more');
  t.equal(pairOf({ host: { announced: ['av01', 'Opus'] } }), 'av1 opus');
  t.equal(pairOf({ platform: youtube, host: { announced: ['Opus'] } }), 'av1 aac', 'the platform counts more');
  const announced = { video: names('av01'), audio: names('Opus') };
  t.equal(
    pairOf({ server: announced, host: { refused: ['av01'] } }),
    'h264 opus',
    'a refusal that was seen counts most',
  );
  t.equal(pairOf({ server: announced, dropped: new Set(['av01', 'Opus']) }), 'h264 aac');
  t.end();
});

t.test('source is sent as it is published unless the server says that it does not take it', (t) => {
  const source = { video: 'source', audio: 'source' } as const;
  t.equal(pairOf(source), 'av1 opus');
  t.equal(pairOf({ ...source, server: {} }), 'av1 opus');
  t.equal(pairOf({ ...source, host: { refused: ['av01'] } }), 'av1 opus', 'a refusal may have been another version');
  t.equal(choose({ ...source, server: {} }).refused, undefined);
  t.match(choose({ ...source, server: { video: names('vp09') } }).refused, /did not announce av01/);
  t.match(choose({ ...source, server: { audio: names('mp4a') } }).refused, /did not announce Opus/);
  t.equal(pairOf({ ...source, published: { video: 'h264', audio: 'pcma' } }), 'h264 aac', 'G.711 is encoded as before');
  t.equal(choose({ ...source, published: { video: 'h264' }, server: { video: names('av01') } }).refused, undefined);
  t.end();
});

t.test('an encoding that is asked for, and settings, come first', (t) => {
  const server = { video: names('*'), audio: names('*') };
  t.equal(pairOf({ server, transcodes: true }), 'h264 opus');
  t.equal(pairOf({ server, video: 'source', transcodes: true }), 'h264 opus');
  t.equal(pairOf({ server, video: 'h264', audio: 'aac' }), 'h264 aac');
  t.equal(pairOf({ server, plainBecause: 'rtmp_enhanced is false' }), 'h264 aac');
  t.equal(pairOf({ server, otherAudio: 'pcmu' }), 'av1 pcmu', 'G.711 and Speex stay what they are');
  t.equal(pairOf({ server, otherAudio: 'pcmu', audio: 'source' }), 'av1 opus');
  t.equal(pairOf({ server, otherAudio: 'pcmu', audio: 'aac' }), 'av1 aac');
  t.equal(pairOf({ server, published: {} }), 'h264 aac', 'nothing is published yet');
  t.end();
});

t.test('a standby picture must be possible in the codec', (t) => {
  const server = { video: names('*'), audio: names('*') };
  t.equal(pairOf({ server, standby: new Set(['av1']) }), 'av1 opus');
  const without = choose({ server, standby: new Set(['vp8', 'vp9']) });
  t.equal(without.pair.video, 'h264');
  t.match(without.why, /cannot encode a standby picture in AV1/);
  t.equal(without.refused, undefined);
  t.match(choose({ server, video: 'source', standby: new Set() }).refused, /standby picture/);
  t.end();
});

t.test('only tracks that may be passed through are announced', (t) => {
  t.strictSame(mayPass(FACTS), { video: true, audio: true });
  t.strictSame(mayPass({ ...FACTS, video: 'h264' }), { video: false, audio: true });
  t.strictSame(mayPass({ ...FACTS, transcodes: true, audio: 'aac' }), { video: false, audio: false });
  t.strictSame(mayPass({ ...FACTS, otherAudio: 'speex' }), { video: true, audio: false });
  t.strictSame(mayPass({ ...FACTS, plainBecause: 'off' }), { video: false, audio: false });
  t.end();
});

t.test('views name the codecs as onMetaData does', (t) => {
  const server = { video: names('av01'), audio: names('Opus') };
  const { why } = choose({ server });
  t.strictSame(codecsView(choose({ server }), true), { video: 'av01', audio: 'Opus', why });
  t.strictSame(codecsView(choose({ server }), false), { audio: 'Opus', why });
  t.match(codecsView(choose(), true), { video: 'avc1', audio: 'mp4a' });
  t.match(codecsView(choose({ otherAudio: 'speex' }), true), { audio: 'speex' });
  t.strictSame(codecsView(choose({ server }), true, true), {
    ...{ video: 'avc1', audio: 'Opus', why: `comply encodes the video; ${why}` },
  });
  t.match(codecsView(choose(), true, true), { video: 'avc1', why: choose().why });
  t.end();
});
