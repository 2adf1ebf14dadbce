import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import * as sdpTransform from 'sdp-transform';
import { GatewayError } from '../../../src/errors.ts';
import { parseOffer, type OfferOptions } from '../../../src/webrtc/sdp.ts';
import { buildAnswer, type LocalTransport } from '../../../src/webrtc/sdp-answer.ts';
import { processorMs } from '../../helpers/processor-ms.ts';

const fixture = (name: string): string => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');
const CHROMIUM = fixture('chromium-publish.sdp');
const PLAYER = fixture('chromium-play.sdp');
const SENDS: OfferOptions = { offerer: 'sends', congestionFeedback: true };
const FINGERPRINT = Array.from({ length: 32 }, (_, index) => (index + 16).toString(16).toUpperCase()).join(':');

const TRANSPORT: LocalTransport = {
  iceParameters: { usernameFragment: 'local', password: 'localpasswordlocalpassword', iceLite: true },
  iceCandidates: [
    {
      foundation: 'udpcandidate',
      priority: 1076302079,
      ip: '192.0.2.1',
      address: '192.0.2.1',
      protocol: 'udp',
      port: 10000,
      type: 'host',
    },
    {
      foundation: 'tcpcandidate',
      priority: 1076276479,
      ip: '192.0.2.1',
      address: '192.0.2.1',
      protocol: 'tcp',
      port: 10000,
      type: 'host',
      tcpType: 'passive',
    },
  ],
  dtlsParameters: {
    fingerprints: [
      { algorithm: 'sha-1', value: 'AA' },
      { algorithm: 'sha-256', value: FINGERPRINT },
    ],
  },
};

/** A small offer in which single lines can be changed. */
function offer(change: { session?: string[]; video?: string[]; audio?: string[] } = {}): string {
  const transport = [
    'a=ice-ufrag:abcd',
    'a=ice-pwd:abcdefghijklmnopqrstuvwx',
    `a=fingerprint:sha-256 ${FINGERPRINT}`,
    'a=rtcp-mux',
    'a=sendonly',
  ];
  const session = change.session ?? ['a=group:BUNDLE 0 1', 'a=setup:actpass'];
  const audio = change.audio ?? [
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'a=mid:0',
    'a=rtpmap:111 opus/48000/2',
    ...transport,
  ];
  const video = change.video ?? [
    'm=video 9 UDP/TLS/RTP/SAVPF 102',
    'a=mid:1',
    'a=rtpmap:102 H264/90000',
    'a=fmtp:102 packetization-mode=1;profile-level-id=42e01f',
    ...transport,
  ];
  return ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', ...session, ...audio, ...video, ''].join('\r\n');
}

function errorOf(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

t.test("Chromium's offer: only H.264 with its RTX, Opus, no video orientation", async (t) => {
  const { audio, video, dtls, ice } = parseOffer(CHROMIUM, SENDS);
  t.equal(audio?.codec, 'opus');
  t.equal(audio?.clockRate, 48000);
  t.equal(video?.codec, 'h264');
  t.same(
    video?.rtpParameters.codecs.map((codec) => [codec.payloadType, codec.mimeType]),
    [
      [102, 'video/H264'],
      [103, 'video/rtx'],
    ],
  );
  t.same(video?.rtpParameters.codecs[0]!.parameters, {
    'level-asymmetry-allowed': 1,
    'packetization-mode': 1,
    'profile-level-id': '42001f',
  });
  t.same(
    video?.rtpParameters.headerExtensions?.map((ext) => ext.id),
    [2, 3, 4],
    'abs-send-time, transport-cc, mid',
  );
  const { ssrc, rtx } = video!.rtpParameters.encodings![0]!;
  t.match(CHROMIUM, `a=ssrc-group:FID ${ssrc} ${rtx!.ssrc}`);
  t.equal(dtls.role, 'server', 'the answerer opens the connection');
  t.equal(dtls.fingerprints[0]!.algorithm, 'sha-256');
  t.match(CHROMIUM, `a=ice-ufrag:${ice.usernameFragment}`);
});

t.test('without congestion feedback none is negotiated', async (t) => {
  const { audio, video } = parseOffer(CHROMIUM, { ...SENDS, congestionFeedback: false });
  t.same(
    video?.rtpParameters.headerExtensions?.map((ext) => ext.uri),
    ['urn:ietf:params:rtp-hdrext:sdes:mid'],
  );
  const feedback = [...video!.rtpParameters.codecs, ...audio!.rtpParameters.codecs].flatMap((codec) =>
    codec.rtcpFeedback!.map(({ type, parameter }) => `${type} ${parameter}`.trim()),
  );
  t.same(
    feedback,
    ['ccm fir', 'nack', 'nack pli', 'nack'],
    'retransmission of lost audio is requested, though it was not offered',
  );
});

t.test('a publisher that knows FIR and not PLI: FIR is agreed, and mediasoup sends it', async (t) => {
  const offer = CHROMIUM.replace(/a=rtcp-fb:\d+ nack pli\r?\n/g, '');
  const { video } = parseOffer(offer, { ...SENDS, congestionFeedback: false });
  t.same(video!.rtpParameters.codecs[0]!.rtcpFeedback, [
    { type: 'ccm', parameter: 'fir' },
    { type: 'nack', parameter: '' },
  ]);
});

t.test('the answer to a publisher', async (t) => {
  const parsed = parseOffer(CHROMIUM, SENDS);
  const text = buildAnswer({ offer: parsed, transport: TRANSPORT, videoStartBitrate: 1500, audioPacketMs: 40 });
  const answer = sdpTransform.parse(text);
  t.equal(answer.icelite, 'ice-lite');
  t.match(answer.groups, [{ type: 'BUNDLE', mids: '0 1' }]);
  t.equal(answer.media.length, 2);
  for (const media of answer.media) {
    t.equal(media.setup, 'active');
    t.equal(media.direction, 'recvonly');
    t.equal(media.fingerprint?.hash, FINGERPRINT);
    t.equal(media.iceUfrag, 'local');
    t.match(media.candidates, [
      { transport: 'udp', ip: '192.0.2.1', port: 10000, type: 'host' },
      { transport: 'tcp', tcptype: 'passive' },
    ]);
    t.equal(media.endOfCandidates, 'end-of-candidates');
    t.ok(media.rtcpMux && media.rtcpRsize);
  }
  const [audio, video] = answer.media;
  t.same([audio!.ptime, video!.ptime], [40, undefined], 'longer audio packets are requested');
  t.match(audio!.payloads, 111);
  t.equal(video!.payloads, '102 103');
  t.match(
    text,
    'a=fmtp:102 x-google-start-bitrate=1500;level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n',
  );
  t.match(text, 'a=fmtp:103 apt=102\r\n');
  t.notMatch(text, 'video-orientation');
  t.ok(
    text.split('\r\n').every((line) => !/[\r\n]/.test(line)),
    'CRLF throughout',
  );
});

t.test('the answer to a player: its payload types, an SSRC, a media stream', async (t) => {
  const parsed = parseOffer(PLAYER, {
    offerer: 'receives',
    audio: ['opus'],
    video: ['vp8'],
    congestionFeedback: false,
  });
  t.equal(parsed.video?.codec, 'vp8');
  t.same(parsed.audio?.rtpParameters.codecs[0]!.rtcpFeedback, [], 'a player requests feedback itself');
  const sent = new Map([
    [parsed.audio!.mid, { ...parsed.audio!.rtpParameters, encodings: [{ ssrc: 111111 }] }],
    [
      parsed.video!.mid,
      {
        ...parsed.video!.rtpParameters,
        codecs: [parsed.video!.rtpParameters.codecs[0]!],
        encodings: [{ ssrc: 222222 }],
      },
    ],
  ]);
  const answer = sdpTransform.parse(buildAnswer({ offer: parsed, transport: TRANSPORT, sent, streamId: 'live' }));
  t.match(answer.media[1], {
    direction: 'sendonly',
    payloads: '96',
    msid: [{ id: 'live' }],
    ssrcs: [
      { id: 222222, attribute: 'cname' },
      { id: 222222, attribute: 'msid' },
    ],
  });
  t.equal(answer.media[0]!.direction, 'sendonly');
});

t.test('a player without a section for a track gets the other track', async (t) => {
  const audioOnly = PLAYER.slice(0, PLAYER.indexOf('m=video')).replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0');
  const parsed = parseOffer(audioOnly, {
    offerer: 'receives',
    audio: ['opus'],
    video: ['h264'],
    congestionFeedback: false,
  });
  t.equal(parsed.video, undefined);
  t.equal(parsed.audio?.codec, 'opus');
});

t.test('codecs: the preference of the gateway, the payload types of the client', async (t) => {
  const without = (codec: string): string => CHROMIUM.replaceAll(codec, 'other');
  t.equal(parseOffer(without('H264'), SENDS).video?.codec, 'vp8');
  t.equal(parseOffer(without('H264').replaceAll('VP8', 'other'), SENDS).video?.codec, 'vp9');
  t.equal(parseOffer(without('H264').replaceAll('VP8', 'other').replaceAll('VP9', 'other'), SENDS).video?.codec, 'av1');
  t.match(
    parseOffer(CHROMIUM, SENDS).video?.rtpParameters.codecs[0]!.parameters,
    { 'packetization-mode': 1 },
    'rather in fragments',
  );
  const whole = CHROMIUM.replaceAll('packetization-mode=1', 'packetization-mode=0');
  t.match(
    parseOffer(whole, SENDS).video,
    { codec: 'h264', rtpParameters: { codecs: [{ parameters: { 'packetization-mode': 0 } }] } },
    'or else whole NAL units',
  );
  t.equal(
    parseOffer(CHROMIUM.replaceAll('packetization-mode=1', 'packetization-mode=2'), SENDS).video?.rtpParameters
      .codecs[0]!.parameters?.['packetization-mode'],
    0,
    'never interleaved',
  );
  t.throws(
    () =>
      parseOffer(PLAYER.replaceAll('packetization-mode=1', 'packetization-mode=0'), {
        offerer: 'receives',
        audio: [],
        video: ['h264'],
        congestionFeedback: false,
      }),
    { code: 'NO_COMMON_CODECS', message: /packetization-mode=1/ },
    'players must take fragments',
  );
  t.equal(parseOffer(CHROMIUM.replaceAll('opus/48000/2', 'other/48000/2'), SENDS).audio?.codec, 'pcmu');
  t.equal(
    parseOffer(
      offer({
        audio: [
          'm=audio 9 UDP/TLS/RTP/SAVPF 8',
          'a=mid:0',
          'a=ice-ufrag:abcd',
          'a=ice-pwd:abcdefghijklmnopqrstuvwx',
          `a=fingerprint:sha-256 ${FINGERPRINT}`,
          'a=rtcp-mux',
          'a=sendrecv',
        ],
      }),
      SENDS,
    ).audio?.codec,
    'pcma',
    'PCMA needs no rtpmap',
  );
  t.same(parseOffer(CHROMIUM.replaceAll('42001f', '42000d'), SENDS).video?.rtpParameters.codecs[0]!.parameters, {
    'level-asymmetry-allowed': 1,
    'packetization-mode': 1,
    'profile-level-id': '42000d',
  });
});

t.test('a refusal names the mistake', async (t) => {
  const cases: [name: string, sdp: string, code: string, says: RegExp][] = [
    ['empty', '', 'INVALID_SDP', /v=0/],
    ['not SDP', '{"sdp": 1}', 'INVALID_SDP', /v=0/],
    ['no media', 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n', 'INVALID_SDP', /no media section/],
    ['huge', `v=0\r\n${'a=x\r\n'.repeat(20_000)}`, 'INVALID_SDP', /characters/],
    ['a long line', `v=0\r\na=${'x'.repeat(5000)}\r\n`, 'INVALID_SDP', /line/],
    [
      'too many sections',
      `v=0\r\n${'m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n'.repeat(40)}`,
      'INVALID_SDP',
      /40 media sections/,
    ],
    ['control characters', `${CHROMIUM}a=x\u0000y\r\n`, 'INVALID_SDP', /control/],
    ['two equal mids', CHROMIUM.replace('a=mid:1', 'a=mid:0'), 'INVALID_SDP', /same a=mid/],
    ['no ICE password', CHROMIUM.replace(/a=ice-pwd.*\r\n/g, ''), 'INVALID_SDP', /ice-pwd/],
    ['a short ICE password', CHROMIUM.replace(/a=ice-pwd.*\r\n/g, 'a=ice-pwd:short\r\n'), 'INVALID_SDP', /ice-pwd/],
    ['no fingerprint', CHROMIUM.replace(/a=fingerprint.*\r\n/g, ''), 'INVALID_SDP', /fingerprint/],
    [
      'a fingerprint that is none',
      CHROMIUM.replace(/a=fingerprint.*\r\n/g, 'a=fingerprint:sha-256 zz:zz\r\n'),
      'INVALID_SDP',
      /fingerprint/,
    ],
    [
      'a setup that is a property name',
      CHROMIUM.replaceAll('a=setup:actpass', 'a=setup:constructor'),
      'INVALID_SDP',
      /setup/,
    ],
    ['holdconn', CHROMIUM.replaceAll('a=setup:actpass', 'a=setup:holdconn'), 'INVALID_SDP', /setup/],
    ['a publisher that only receives', CHROMIUM.replaceAll('a=sendonly', 'a=recvonly'), 'INVALID_SDP', /sends/],
    ['no rtcp-mux', CHROMIUM.replaceAll('a=rtcp-mux\r\n', ''), 'INVALID_SDP', /rtcp-mux/],
    ['plain RTP', CHROMIUM.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'), 'INVALID_SDP', /audio or video/],
    [
      'VP9 in a profile that no decoder is offered for',
      CHROMIUM.replaceAll(/H264|VP8|AV1|opus|PCMU|PCMA/g, 'other').replaceAll(/profile-id=\d/g, 'profile-id=1'),
      'NO_COMMON_CODECS',
      /No common codecs/,
    ],
    [
      'no codec in common',
      CHROMIUM.replaceAll(/H264|VP8|VP9|AV1|opus|PCMU|PCMA/g, 'other'),
      'NO_COMMON_CODECS',
      /No common codecs/,
    ],
  ];
  for (const [name, sdp, code, says] of cases) {
    const error = errorOf(() => parseOffer(sdp, SENDS));
    t.equal(error.code, code, name);
    t.match(error.message, says, name);
    t.ok(error.message.length < 300, `${name}: a message of bounded length`);
  }
});

t.test('of several fingerprints, one that is understood is taken, wherever it is', async (t) => {
  const bytes = (count: number): string => new Array(count).fill('AB').join(':');
  const known = `a=fingerprint:sha-256 ${FINGERPRINT}`;
  const other = `a=fingerprint:sha-256 ${bytes(32)}`;
  const sha1 = `a=fingerprint:sha-1 ${bytes(20)}`;
  const sha512 = `a=fingerprint:sha-512 ${bytes(64)}`;
  const strange = `a=fingerprint:sha3-256 ${bytes(32)}`;
  const broken = 'a=fingerprint:sha-256 AB:CD';
  const first = (lines: readonly string[], session: readonly string[] = []): unknown => {
    const sdp = offer().replaceAll(known, lines.join('\r\n') || 'a=x');
    return parseOffer(sdp.replace('a=setup', [...session, 'a=setup'].join('\r\n')), SENDS).dtls.fingerprints[0];
  };
  const sha256 = { algorithm: 'sha-256', value: FINGERPRINT };
  for (const lines of [
    [known, sha1],
    [sha1, known],
    [known, strange],
    [strange, known],
    [sha512, known, sha1, strange],
    [broken, known],
    [known, broken],
    [known, other],
    [`a=fingerprint:SHA-256 ${FINGERPRINT.toLowerCase()} `],
  ])
    t.same(first(lines), sha256, lines.join(', '));
  t.same(first([], [sha1, known, strange]), sha256, 'of the session');
  t.same(first([strange], [known]), sha256, 'of the session where the section has none that is understood');
  t.same(first([known], [other]), sha256, 'of the section where both have one');
  t.match(first([strange, sha1]), { algorithm: 'sha-1' });
  t.match(first([sha1, sha512]), { algorithm: 'sha-512' });
  for (const lines of [[strange], [broken], [strange, broken], [`a=fingerprint:sha-1 ${bytes(32)}`]])
    t.match(errorOf(() => first(lines)).message, /a=fingerprint .*sha-256/, lines.join(', '));
});

t.test('DTLS roles: the answer is the opposite of the offer', async (t) => {
  for (const [setup, role, answered] of [
    ['actpass', 'server', 'active'],
    ['passive', 'server', 'active'],
    ['active', 'client', 'passive'],
  ] as const) {
    const parsed = parseOffer(CHROMIUM.replaceAll('a=setup:actpass', `a=setup:${setup}`), SENDS);
    t.equal(parsed.dtls.role, role, setup);
    t.equal(sdpTransform.parse(buildAnswer({ offer: parsed, transport: TRANSPORT })).media[0]!.setup, answered);
  }
  t.equal(parseOffer(offer(), SENDS).dtls.role, 'server', 'a=setup on the session level');
});

t.test('other sections are rejected at their position', async (t) => {
  const more = `${CHROMIUM}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:3\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n`;
  const answer = sdpTransform.parse(
    buildAnswer({ offer: parseOffer(more.replace('BUNDLE 0 1', 'BUNDLE 0 1 2 3'), SENDS), transport: TRANSPORT }),
  );
  t.same(
    answer.media.map((media) => [media.type, media.mid, media.port === 0]),
    [
      ['audio', 0, false],
      ['video', 1, false],
      ['application', 2, true],
      ['video', 3, true],
    ],
  );
  t.equal(answer.groups?.[0]?.mids, '0 1');
});

t.test('BUNDLE decides which sections share the transport', async (t) => {
  const alone = parseOffer(offer({ session: ['a=setup:actpass'] }), SENDS);
  t.ok(alone.audio);
  t.notOk(alone.video, 'without BUNDLE only the first section');
  const onlyVideo = parseOffer(offer({ session: ['a=setup:actpass', 'a=group:BUNDLE 1'] }), SENDS);
  t.notOk(onlyVideo.audio);
  t.equal(onlyVideo.video?.codec, 'h264');
  const bundleOnly = offer().replace('m=video 9', 'm=video 0').replace('a=mid:1', 'a=mid:1\r\na=bundle-only');
  t.equal(parseOffer(bundleOnly, SENDS).video?.codec, 'h264', 'port 0 with a=bundle-only is no rejection');
  t.notOk(parseOffer(offer().replace('m=video 9', 'm=video 0'), SENDS).video, 'port 0 without it is');
});

t.test('sources: without an SSRC the mid identifies packets; RTX only as a pair', async (t) => {
  t.same(parseOffer(offer(), SENDS).video?.rtpParameters.encodings, [{}]);
  const ungrouped = parseOffer(CHROMIUM.replace(/a=ssrc-group.*\r\n/g, ''), SENDS);
  t.notOk(ungrouped.video!.rtpParameters.encodings![0]!.rtx);
  const withoutCodec = parseOffer(CHROMIUM.replaceAll('rtx/90000', 'other/90000'), SENDS);
  t.notOk(withoutCodec.video!.rtpParameters.encodings![0]!.rtx);
});

t.test('without SSRC and MID, payload types tell the sections apart, or the offer is refused', async (t) => {
  const same = offer().replaceAll('102', '111');
  t.match(errorOf(() => parseOffer(same, SENDS)).message, /same payload type, 111, .*a=ssrc.*MID/);
  const mid = 'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid';
  for (const named of [
    same.replaceAll(/a=mid:.*/g, `$&\r\n${mid}`),
    same.replaceAll(/a=mid:(.*)/g, '$&\r\na=ssrc:10$1 cname:x'),
    same.replace('a=mid:0', `a=mid:0\r\n${mid}`).replace('a=mid:1', 'a=mid:1\r\na=ssrc:5 cname:x'),
  ])
    t.equal(parseOffer(named, SENDS).video?.codec, 'h264');
  t.equal(
    errorOf(() => parseOffer(same.replace('a=mid:0', `a=mid:0\r\n${mid}`), SENDS)).code,
    'INVALID_SDP',
    'one of two',
  );
  t.equal(parseOffer(offer(), SENDS).video?.codec, 'h264', 'different ones');
});

t.test('transport and feedback on the session level and for all payload types', async (t) => {
  const once = ['a=ice-ufrag:1234', 'a=ice-pwd:123456789012345678901234', `a=fingerprint:sha-256 ${FINGERPRINT}`];
  const audio = [
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'a=mid:0',
    'a=rtpmap:111 opus/48000/2',
    'a=rtcp-fb:* transport-cc',
    'a=rtcp-fb:111 nack',
    'a=rtcp-mux',
    'a=sendonly',
  ];
  const parsed = parseOffer(
    offer({ session: ['a=group:BUNDLE 0', 'a=setup:actpass', ...once], audio, video: [] }),
    SENDS,
  );
  t.same(parsed.ice, { usernameFragment: '1234', password: '123456789012345678901234' });
  t.equal(parsed.dtls.fingerprints[0]!.value, FINGERPRINT);
  t.same(
    parsed.audio!.rtpParameters.codecs[0]!.rtcpFeedback!.map(({ type }) => type),
    ['transport-cc', 'nack'],
    'and what is offered is not asked for twice',
  );
});

t.test('any text is parsed or refused with a GatewayError, in bounded time', async (t) => {
  const lines = CHROMIUM.split('\r\n');
  const damage = fc.array(
    fc.record({
      at: fc.nat(lines.length - 1),
      how: fc.constantFrom('drop', 'double', 'cut', 'noise'),
      noise: fc.string({ maxLength: 60 }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(damage, (changes) => {
      const damaged = [...lines];
      for (const { at, how, noise } of changes) {
        const line = damaged[at] ?? '';
        damaged[at] =
          how === 'drop'
            ? ''
            : how === 'double'
              ? `${line}\r\n${line}`
              : how === 'cut'
                ? line.slice(0, line.length / 2)
                : `${line.slice(0, 2)}${noise}`;
      }
      try {
        const parsed = parseOffer(damaged.filter(Boolean).join('\r\n'), SENDS);
        buildAnswer({ offer: parsed, transport: TRANSPORT });
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
  const large = `v=0\r\n${`m=video 9 UDP/TLS/RTP/SAVPF ${'9 '.repeat(500)}\r\n`.repeat(32)}${`a=rtpmap:9 ${'x'.repeat(200)}/90000\r\n`.repeat(100)}`;
  const tookMs = processorMs(() => void errorOf(() => parseOffer(large.slice(0, 65_000), SENDS)));
  t.ok(tookMs < 1000, `${tookMs} ms`);
});
