import t from 'tap';
import { encodeMessage, PublishStreamSchema, StopStreamSchema } from '../../../src/signaling/messages.ts';

t.test('data is an array in every frame, also when it is empty', async (t) => {
  t.equal(encodeMessage('ping'), '{"message":"ping","data":[]}');
  t.equal(encodeMessage('setRemoteSDP', 'id', 'sdp', true), '{"message":"setRemoteSDP","data":["id","sdp",true]}');
});

t.test('publishStream as the SDK sends it', async (t) => {
  const sent = {
    mediaSessionId: 'id',
    name: 'cam',
    published: true,
    hasVideo: true,
    hasAudio: true,
    status: 'PENDING',
    record: false,
    mediaProvider: 'WebRTC',
    sdp: 'v=0',
    bitrate: 0,
    minBitrate: 0,
    maxBitrate: 1500,
    constraints: {},
    localMediaInfo: {},
  };
  t.match(PublishStreamSchema.parse(sent), { mediaSessionId: 'id', name: 'cam', maxBitrate: 1500, rtmpUrl: undefined });
  t.equal(
    PublishStreamSchema.parse({ ...sent, rtmpUrl: null, bitrate: 'fast' }).bitrate,
    0,
    'an invalid bitrate is ignored',
  );
});

t.test('booleans and numbers may be strings', async (t) => {
  const request = { mediaSessionId: 'id', name: 'cam', sdp: 'v=0' };
  t.match(
    PublishStreamSchema.parse({ ...request, hasVideo: 'false', hasAudio: 'true', record: 'false', maxBitrate: '1500' }),
    { hasVideo: false, hasAudio: true, record: false, maxBitrate: 1500 },
  );
  t.match(PublishStreamSchema.parse({ ...request, hasVideo: null }), { hasVideo: true, hasAudio: true, record: false });
  for (const hasVideo of ['yes', 1, {}]) t.notOk(PublishStreamSchema.safeParse({ ...request, hasVideo }).success);
});

t.test('the name and the id are required to publish, a stop needs no name', async (t) => {
  for (const name of ['', 'a\nb', 7, undefined])
    t.notOk(PublishStreamSchema.safeParse({ mediaSessionId: 'id', sdp: '', name }).success, String(name));
  t.notOk(PublishStreamSchema.safeParse({ sdp: '', name: 'x' }).success, 'no mediaSessionId');
  t.ok(StopStreamSchema.safeParse({ mediaSessionId: 'id' }).success);
});
