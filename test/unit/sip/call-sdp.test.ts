import t from 'tap';
import { SDP_SAMPLES } from '../../fuzz/sip-target.ts';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';
import { CallSdp, type CallSdpOptions } from '../../../src/sip/media/call-sdp.ts';
import { readRemoteSdp } from '../../../src/sip/media/remote-sdp.ts';

const ALL = ['opus', 'alaw', 'ulaw', 'telephone-event', 'vp8', 'h264'] as const;
const options = (more: Partial<CallSdpOptions> = {}): CallSdpOptions => ({
  address: '10.0.0.1',
  ports: { audio: 31_002, video: 31_004 },
  codecs: ALL,
  srtp: 'off',
  isPrivate: false,
  ...more,
});
const sdp = (...lines: string[]): string =>
  ['v=0', 'o=- 1 1 IN IP4 10.0.0.2', 's=-', 'c=IN IP4 10.0.0.2', 't=0 0', ...lines, ''].join('\r\n');
const linesOf = (text: string, start: string): string[] => text.split('\r\n').filter((line) => line.startsWith(start));

t.test('an offer has what the settings allow, as short as it can be', async (t) => {
  const offer = new CallSdp(options()).firstOffer({ isShort: false });
  t.same(linesOf(offer, 'm='), ['m=audio 31002 RTP/AVP 96 8 0 102 101', 'm=video 31004 RTP/AVP 99 97 98']);
  t.notMatch(offer, /rtpmap:0 |rtpmap:8 /);
  t.match(offer, /m=video[^]*a=recvonly/);
  t.match(offer, /a=rtcp-fb:\* nack pli\r\na=rtcp-fb:\* ccm fir/);
  const short = new CallSdp(options()).firstOffer({ isShort: true });
  t.same(linesOf(short, 'm=video'), ['m=video 31004 RTP/AVP 97 99']);
  const audioOnly = new CallSdp(options({ ports: { audio: 31_002 }, codecs: ['ulaw'] })).firstOffer({ isShort: false });
  t.same(linesOf(audioOnly, 'm='), ['m=audio 31002 RTP/AVP 0']);
  t.equal(
    new CallSdp(options({ codecs: ['vp8'] })).firstOffer({ isShort: true }).match(/m=video.*/)?.[0],
    'm=video 31004 RTP/AVP 99',
  );
});

t.test('answers of many kinds are accepted', async (t) => {
  const accept = (...lines: string[]) => {
    const call = new CallSdp(options());
    call.firstOffer({ isShort: false });
    return call.accept(sdp(...lines));
  };
  const plain = accept(
    'm=audio 4000 RTP/AVP 0 8',
    'm=video 4002 RTP/AVP 97',
    'a=rtpmap:97 H264/90000',
    'a=fmtp:97 packetization-mode=1;profile-level-id=42e01f',
  );
  t.match(plain, {
    audio: { codec: { name: 'pcmu', payloadType: 0 }, remote: { address: '10.0.0.2', port: 4000, rtcpPort: 4001 } },
    video: { codec: { name: 'h264', mode: 1 }, remote: { feedback: undefined } },
  });
  t.same([...plain!.audio!.otherTypes], [8], 'the other agreed codec is known');
  t.match(accept('m=audio 4000 RTP/AVPF 8', 'a=rtcp:4999')?.audio, {
    codec: { name: 'pcma' },
    remote: { rtcpPort: 4999 },
  });
  t.match(
    accept('m=audio 4000 RTP/AVP 111 110', 'a=rtpmap:111 OPUS/48000/2', 'a=rtpmap:110 telephone-event/48000')?.audio,
    {
      codec: { name: 'opus', payloadType: 111 },
      telephoneEvent: 110,
    },
  );
  t.equal(accept('m=audio 4000 RTP/AVP 0 101', 'a=rtpmap:101 telephone-event/8000')?.audio?.telephoneEvent, 101);
  t.equal(accept('m=audio 0 RTP/AVP 0'), undefined, 'a refused line');
  t.equal(accept('m=audio 4000 RTP/AVP 18', 'a=rtpmap:18 G729/8000'), undefined, 'no common codec');
  t.equal(accept('m=audio 4000 UDP/TLS/RTP/SAVPF 0'), undefined, 'DTLS');
  t.equal(accept('c=IN IP6 ::1', 'm=audio 4000 RTP/AVP 0')?.audio?.remote.address, undefined);
  t.match(accept('m=audio 0 RTP/AVP 0', 'm=audio 4000 RTP/AVP 0')?.audio, { remote: { index: 1, port: 4000 } });
  t.match(accept('m=video 4002 RTP/AVP 97', 'a=rtpmap:97 H264/90000')?.video?.codec, { mode: 0 }, 'no fmtp: mode 0');
  t.equal(accept('m=video 4002 RTP/AVP 97', 'a=rtpmap:97 H264/90000', 'a=fmtp:97 packetization-mode=2'), undefined);
  t.match(accept('m=video 4002 RTP/AVP 97', 'a=rtpmap:97 VP8/90000', 'a=rtcp-fb:* ccm fir')?.video?.remote.feedback, {
    pli: false,
    fir: true,
  });
});

t.test('offers of the peer are answered line by line', async (t) => {
  const call = new CallSdp(options());
  const answer = call.answer(
    sdp(
      'a=sendonly',
      'm=audio 4000 RTP/AVP 9 8 0',
      'm=application 5000 UDP/BFCP *',
      'm=video 4002 RTP/AVPF 100',
      'a=rtpmap:100 VP8/90000',
      'm=video 4004 RTP/AVP 97',
      'a=rtpmap:97 H264/90000',
    ),
  )!;
  t.same(linesOf(answer.sdp, 'm='), [
    'm=audio 31002 RTP/AVP 8',
    'm=application 0 UDP/BFCP *',
    'm=video 31004 RTP/AVPF 100',
    'm=video 0 RTP/AVP 97',
  ]);
  t.match(answer.sdp, /m=audio[^]*a=recvonly[^]*m=application/);
  t.equal(call.answer(sdp('m=audio 4000 RTP/AVP 0')), undefined, 'a codec that runs is not exchanged');
  const moved = call.answer(sdp('m=audio 4444 RTP/AVP 0 8', 'm=video 0 RTP/AVP 100'))!;
  t.match(moved.agreed, { audio: { codec: { name: 'pcma' }, remote: { port: 4444 } }, video: undefined });
  t.equal(linesOf(moved.sdp, 'o=')[0]!.split(' ')[2], '2', 'the version rises');
  t.equal(linesOf(call.offer(), 'o=')[0]!.split(' ')[2], '2', 'and stays without a change');
});

t.test('directions and hold', async (t) => {
  for (const [theirs, ours] of [
    ['sendrecv', undefined],
    ['sendonly', 'a=recvonly'],
    ['recvonly', 'a=sendonly'],
    ['inactive', 'a=inactive'],
  ] as const) {
    const answer = new CallSdp(options({ codecs: ['ulaw'] })).answer(sdp('m=audio 4000 RTP/AVP 0', `a=${theirs}`))!;
    t.equal(
      answer.sdp.split('\r\n').find((line) => /^a=(send|recv|inactive)/.test(line)),
      ours,
      theirs,
    );
  }
  const held = new CallSdp(options()).answer(sdp('m=audio 4000 RTP/AVP 0').replaceAll('10.0.0.2', '0.0.0.0'));
  t.equal(held?.agreed.audio?.remote.address, '0.0.0.0');
});

t.test('keys are offered and answered as sip_srtp says', async (t) => {
  const offers = (srtp: 'off' | 'offer' | 'require', isPrivate: boolean): boolean =>
    new CallSdp(options({ srtp, isPrivate })).firstOffer({ isShort: false }).includes('a=crypto');
  t.same(
    [offers('off', true), offers('offer', false), offers('offer', true), offers('require', false)],
    [false, false, true, true],
  );
  const call = new CallSdp(options({ srtp: 'require' }));
  call.firstOffer({ isShort: false });
  t.notMatch(call.shown, /crypto/, 'keys are not shown');
  const key = 'MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw';
  t.equal(call.accept(sdp('m=audio 4000 RTP/AVP 0')), undefined, 'plain RTP is refused');
  const agreed = call.accept(sdp('m=audio 4000 RTP/SAVP 0', `a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:${key}`));
  t.match(agreed?.audio?.keys, { local: { tag: 2, suite: 'AES_CM_128_HMAC_SHA1_32' }, remote: { tag: 2 } });
  const callee = new CallSdp(options({ srtp: 'offer' }));
  const secure = callee.answer(
    sdp('m=audio 4000 RTP/SAVP 0', `a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:${key}|2^31`),
  )!;
  t.match(secure.sdp, /a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:/);
  for (const bad of [
    'AES_256_CM_HMAC_SHA1_80 inline:',
    'AES_CM_128_HMAC_SHA1_80 inline:AAAA',
    `AES_CM_128_HMAC_SHA1_80 inline:${key}|1:4`,
  ])
    t.equal(
      new CallSdp(options({ srtp: 'offer' })).answer(
        sdp('m=audio 4000 RTP/SAVP 0', `a=crypto:1 ${bad}${bad.endsWith(':') ? key : ''}`),
      ),
      undefined,
      bad,
    );
});

t.test('what is too large or no SDP is not read, and mutations never throw', async (t) => {
  t.equal(readRemoteSdp(''), undefined);
  t.equal(readRemoteSdp('v=0'), undefined);
  t.equal(readRemoteSdp(sdp(...Array.from({ length: 9 }, () => 'm=audio 4000 RTP/AVP 0'))), undefined, 'nine lines');
  t.equal(readRemoteSdp(sdp('m=audio 4000 RTP/AVP 0', ...Array.from({ length: 600 }, () => 'a=x'))), undefined);
  t.equal(readRemoteSdp(sdp(`a=${'x'.repeat(5000)}`, 'm=audio 4000 RTP/AVP 0')), undefined);
  const corpus = SDP_SAMPLES.map((text) => Buffer.from(text));
  for (let seed = 0; seed < Number(process.env['RUNS'] ?? 3000); seed++) {
    const text = mutate(corpus, 3, seededRandom(seed)).toString('latin1');
    new CallSdp(options({ srtp: 'offer' })).answer(text);
  }
});
