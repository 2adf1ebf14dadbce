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
  t.equal(PublishStreamSchema.parse({ ...sent, rtmpUrl: null, bitrate: 'fast' }).bitrate, 0, 'an odd bitrate is none');
});

t.test('names are bounded and printable', async (t) => {
  const request = { mediaSessionId: 'id', sdp: '' };
  for (const name of ['', 'x'.repeat(256), 'a\nb', 'a\u0000', 'a\u0085b', 'a\u2028b', 7, undefined]) {
    t.notOk(PublishStreamSchema.safeParse({ ...request, name }).success, encodeURIComponent(String(name).slice(0, 20)));
  }
  for (const name of ['x', 'Stream 1', 'камера', 'a/b?c=d', '😀'])
    t.ok(PublishStreamSchema.safeParse({ ...request, name }).success, name);
  t.notOk(PublishStreamSchema.safeParse({ sdp: '', name: 'x' }).success, 'no mediaSessionId');
  t.ok(StopStreamSchema.safeParse({ mediaSessionId: 'id' }).success, 'a stop needs no name');
});
