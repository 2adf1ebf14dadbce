import t from 'tap';
import { isPassableH264Profile, routableProfile } from '../../../src/webrtc/codecs.ts';
import { parseOffer, type OfferOptions } from '../../../src/webrtc/sdp.ts';
import { buildAnswer } from '../../../src/webrtc/sdp-answer.ts';

const WHIP: OfferOptions = { offerer: 'sends', congestionFeedback: true, complete: true, dataChannel: true };
const FINGERPRINT = `a=fingerprint:sha-256 ${new Array(32).fill('AB').join(':')}`;
const LOCAL = {
  iceParameters: { usernameFragment: 'local', password: 'p'.repeat(22), iceLite: true },
  iceCandidates: [
    {
      foundation: 'u',
      priority: 1,
      address: '192.0.2.1',
      ip: '192.0.2.1',
      protocol: 'udp' as const,
      port: 10000,
      type: 'host' as const,
    },
  ],
  dtlsParameters: { fingerprints: [{ algorithm: 'sha-256' as const, value: 'CD' }] },
};

/** An offer of FFmpeg 8: the passive DTLS role, a BUNDLE group of both sections even where there is one, neither transport-cc nor PLI. */
function ffmpegOffer({ profile = '42400d', sections = ['audio', 'video'] } = {}): string {
  const transport = [
    'c=IN IP4 0.0.0.0',
    'a=ice-ufrag:7e56d391',
    'a=ice-pwd:b8f1c0d27e56d391a1b2c3d4e5f60718',
    FINGERPRINT,
    'a=setup:passive',
  ];
  const media: Record<string, string[]> = {
    audio: [
      'm=audio 9 UDP/TLS/RTP/SAVPF 111',
      ...transport,
      'a=mid:0',
      'a=sendonly',
      'a=msid:FFmpeg audio',
      'a=rtcp-mux',
      'a=rtpmap:111 opus/48000/2',
      'a=ssrc:1 cname:FFmpeg',
      'a=ssrc:1 msid:FFmpeg audio',
    ],
    video: [
      'm=video 9 UDP/TLS/RTP/SAVPF 106',
      ...transport,
      'a=mid:1',
      'a=sendonly',
      'a=msid:FFmpeg video',
      'a=rtcp-mux',
      'a=rtcp-rsize',
      'a=rtpmap:106 H264/90000',
      `a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=${profile}`,
      'a=ssrc:2 cname:FFmpeg',
      'a=ssrc:2 msid:FFmpeg video',
    ],
  };
  return [
    'v=0',
    'o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1',
    's=FFmpegPublishSession',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS',
    ...sections.flatMap((section) => media[section]!),
    '',
  ].join('\r\n');
}

t.test('an offer of ffmpeg: the gateway takes the active role', async (t) => {
  const offer = parseOffer(ffmpegOffer(), WHIP);
  t.match(offer, { dtls: { role: 'server' }, audio: { codec: 'opus' }, video: { codec: 'h264' } });
  const answer = buildAnswer({ offer, transport: LOCAL });
  t.equal(answer.match(/a=setup:active/g)?.length, 2);
  t.equal(answer.match(/a=recvonly/g)?.length, 2);
  t.equal(answer.match(/a=rtcp-mux-only/g)?.length, 2, 'RFC 9725, 4.4.1');
  t.match(answer, /profile-level-id=42400d/, 'as offered, not as the router names it');
});

t.test('a=setup: active is answered passive, actpass active', async (t) => {
  for (const [offered, answered] of [
    ['active', 'passive'],
    ['actpass', 'active'],
    ['passive', 'active'],
  ] as const) {
    const offer = parseOffer(ffmpegOffer().replaceAll('a=setup:passive', `a=setup:${offered}`), WHIP);
    t.match(buildAnswer({ offer, transport: LOCAL }), new RegExp(`a=setup:${answered}\r\n`), offered);
  }
  for (const setup of ['holdconn', 'x'])
    t.throws(() => parseOffer(ffmpegOffer().replaceAll('setup:passive', `setup:${setup}`), WHIP), {
      code: 'INVALID_SDP',
    });
});

t.test('audio only, video only', async (t) => {
  t.match(parseOffer(ffmpegOffer({ sections: ['audio'] }), WHIP), { audio: {}, video: undefined });
  t.match(parseOffer(ffmpegOffer({ sections: ['video'] }), WHIP), { audio: undefined, video: {} });
});

/** An offer of OBS 30 (libdatachannel): all of the transport before the sections, no candidates. */
const OBS = [
  'v=0',
  'o=rtc 1504936711 0 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0 1',
  'a=group:LS 0 1',
  'a=msid-semantic:WMS *',
  'a=setup:actpass',
  'a=ice-ufrag:4hZF',
  'a=ice-pwd:vGZ3Zk1dZBbyvjb1AXxCm2',
  'a=ice-options:ice2,trickle',
  FINGERPRINT,
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'c=IN IP4 0.0.0.0',
  'a=mid:0',
  'a=sendonly',
  'a=ssrc:10 cname:b',
  'a=ssrc:10 msid:s s-audio',
  'a=msid:s s-audio',
  'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2',
  'a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'c=IN IP4 0.0.0.0',
  'a=mid:1',
  'a=sendonly',
  'a=ssrc:11 cname:b',
  'a=ssrc:11 msid:s s-video',
  'a=msid:s s-video',
  'a=rtcp-mux',
  'a=rtpmap:96 H264/90000',
  'a=rtcp-fb:96 nack',
  'a=rtcp-fb:96 nack pli',
  'a=rtcp-fb:96 goog-remb',
  'a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1',
  '',
].join('\r\n');

/** An offer of GStreamer's webrtcbin with `bundle-policy=max-bundle`: port 0 from the second section on. */
const gstreamerOffer = (video: readonly string[]): string => {
  const transport = [
    'c=IN IP4 0.0.0.0',
    'a=setup:actpass',
    'a=ice-ufrag:1cdMLKUjRoMAuAQR1c/9UGRZf4qLigfI',
    'a=ice-pwd:4T/LcofAuvJMF7xaBcFt3bybwAuGoV1M',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    'a=sendonly',
    FINGERPRINT,
  ];
  return [
    'v=0',
    'o=- 5731 0 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    'a=ice-options:trickle',
    'a=group:BUNDLE audio0 video1',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    ...transport,
    'a=rtpmap:111 OPUS/48000/2',
    'a=fmtp:111 sprop-stereo=1',
    'a=ssrc:10 cname:u',
    'a=mid:audio0',
    'm=video 0 UDP/TLS/RTP/SAVPF 96',
    ...transport,
    'a=bundle-only',
    ...video,
    'a=ssrc:11 cname:u',
    'a=mid:video1',
    '',
  ].join('\r\n');
};

t.test('an offer of OBS, and of GStreamer', async (t) => {
  t.match(parseOffer(OBS, WHIP), {
    ice: { usernameFragment: '4hZF' },
    dtls: { role: 'server' },
    audio: { codec: 'opus', rtpParameters: { encodings: [{ ssrc: 10 }] } },
    video: { codec: 'h264', rtpParameters: { encodings: [{ ssrc: 11 }] } },
  });
  const layers = OBS.replace(
    'a=rtpmap:96',
    [
      'a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid',
      'a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
      'a=rid:0 send',
      'a=rid:1 send',
      'a=simulcast:send 0;1',
      'a=rtpmap:96',
    ].join('\r\n'),
  );
  t.match(
    buildAnswer({ offer: parseOffer(layers, WHIP), transport: LOCAL }),
    /a=simulcast:recv 0;1\r\n/,
    'OBS counts the layers that are taken',
  );

  const offer = parseOffer(
    gstreamerOffer([
      'a=rtpmap:96 H264/90000',
      'a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtoC,aM48gA==;profile-level-id=42c01e',
    ]),
    WHIP,
  );
  t.match(offer, { audio: { mid: 'audio0', codec: 'opus' }, video: { mid: 'video1', codec: 'h264' } });
  t.match(buildAnswer({ offer, transport: LOCAL }), /a=group:BUNDLE audio0 video1\r\n(?:.*\r\n)*m=video 9 /);
  t.match(
    parseOffer(gstreamerOffer(['a=rtpmap:96 H264/90000']), WHIP),
    { video: { codec: 'h264' } },
    'H.264 that says nothing of itself sends whole NAL units',
  );
});

t.test('an offer of which a part would be rejected is refused', async (t) => {
  t.throws(
    () => parseOffer(gstreamerOffer(['a=rtpmap:96 H265/90000']), WHIP),
    { code: 'NO_COMMON_CODECS', message: /video section \(mid video1\)/ },
    'nor one that exists in the bundle alone',
  );
  t.throws(() => parseOffer(OBS.replace('opus/48000/2', 'opus/48000'), WHIP), {
    code: 'NO_COMMON_CODECS',
    message: /audio section \(mid 0\).*opus\/48000\/2/,
  });
  t.throws(() => parseOffer(OBS.replace('42e01f', '6e001f'), WHIP), {
    code: 'NO_COMMON_CODECS',
    message: /baseline, main or high/,
  });
  t.throws(() => parseOffer(ffmpegOffer().replace('H264/90000', 'H265/90000'), WHIP), {
    code: 'NO_COMMON_CODECS',
    message: /video section \(mid 1\)/,
  });
  t.throws(() => parseOffer(ffmpegOffer().replace('opus/48000/2', 'G722/8000'), WHIP), {
    code: 'NO_COMMON_CODECS',
    message: /audio section \(mid 0\)/,
  });
  t.throws(() => parseOffer(ffmpegOffer().replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0'), WHIP), {
    code: 'INVALID_SDP',
    message: /one BUNDLE group/,
  });
  const third = ffmpegOffer({ sections: ['video'] })
    .split('m=video')[1]!
    .replace('a=mid:1', 'a=mid:2');
  t.throws(() => parseOffer(`${ffmpegOffer().replace('BUNDLE 0 1', 'BUNDLE 0 1 2')}m=video${third}`, WHIP), {
    code: 'INVALID_SDP',
    message: /mid 2\) cannot be taken/,
  });
  const inactive = `${ffmpegOffer().replace('BUNDLE 0 1', 'BUNDLE 0 1 2')}m=video${third.replace('a=sendonly', 'a=inactive')}`;
  t.match(
    buildAnswer({ offer: parseOffer(inactive, WHIP), transport: LOCAL }),
    /m=video 0 .*\r\n.*\r\na=mid:2\r\na=inactive/,
    'what would not send loses nothing',
  );
  t.match(
    parseOffer(ffmpegOffer().replace('H264/90000', 'H265/90000'), { offerer: 'sends', congestionFeedback: true }),
    { audio: {}, video: undefined },
    'the Web SDK takes what there is',
  );
});

t.test('H.264 with every profile-level-id that encoders use', async (t) => {
  for (const profile of [
    '42001f',
    '42e01f',
    '42c00d',
    '42000d',
    '42400d',
    '422001f',
    '4d001f',
    '4d401f',
    '4de01f',
    '64001f',
    '640c1f',
    '640028',
    '64103d',
  ]) {
    t.ok(isPassableH264Profile(profile), profile);
    t.match(parseOffer(ffmpegOffer({ profile }), WHIP), { video: { codec: 'h264' } });
    t.match(routableProfile(profile), /^(42|4d|64)[0-9a-f]{4}$/);
  }
  for (const profile of ['42001f', '42e01f', '42000d', '4d401f', '640c1f', '640034'])
    t.equal(routableProfile(profile), profile, 'known to mediasoup');
  t.strictSame(['422001f', '64103d', '4d2000', '420000'].map(routableProfile), [
    '42001f',
    '64001f',
    '4d001f',
    '42001f',
  ]);
  for (const profile of ['f4001f', '6e001f', '7a001f', '58001f', '4200', 'xx001f'])
    t.throws(() => parseOffer(ffmpegOffer({ profile }), WHIP), { code: /NO_COMMON_CODECS|INVALID_SDP/ }, profile);
});

t.test('a data channel is accepted where it is allowed', async (t) => {
  const data = [
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=ice-ufrag:7e56d391',
    'a=mid:2',
    'a=sctp-port:5000',
    'a=max-message-size:262144',
    '',
  ].join('\r\n');
  const offered = ffmpegOffer().replace('BUNDLE 0 1', 'BUNDLE 0 1 2') + data;
  const sctpParameters = { port: 5000, maxMessageSize: 262144 } as never;
  const answer = buildAnswer({ offer: parseOffer(offered, WHIP), transport: { ...LOCAL, sctpParameters } });
  t.match(answer, /a=group:BUNDLE 0 1 2\r\n/);
  t.match(
    answer,
    /m=application 9 UDP\/DTLS\/SCTP webrtc-datachannel\r\n(?:.*\r\n)+a=sctp-port:5000\r\na=max-message-size:262144\r\n$/,
  );
  const refused = buildAnswer({
    offer: parseOffer(offered, { offerer: 'sends', congestionFeedback: true }),
    transport: LOCAL,
  });
  t.match(refused, /m=application 0 UDP\/DTLS\/SCTP webrtc-datachannel/);
  t.throws(() => parseOffer(offered.replace('webrtc-datachannel', 'x'), WHIP), { code: 'INVALID_SDP' });
  const inBundle = offered.replace('m=application 9', 'm=application 0');
  t.equal(
    parseOffer(inBundle.replace('a=sctp-port', 'a=bundle-only\r\na=sctp-port'), WHIP).dataMid,
    '2',
    'also where it exists in the bundle alone',
  );
  t.equal(parseOffer(inBundle, WHIP).dataMid, undefined, 'rejected by the offerer');
});

t.test('simulcast: the layers in the order of the offer', async (t) => {
  const rid = [
    'a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
    'a=rid:h send',
    'a=rid:m send',
    'a=rid:l send',
  ].join('\r\n');
  const layered = (simulcast: string): string =>
    `${ffmpegOffer().trimEnd()}\r\n${rid}\r\na=simulcast:${simulcast}\r\n`.replace(/a=ssrc:2.*\r\n/g, '');
  const layers = (simulcast: string) =>
    parseOffer(layered(simulcast), WHIP).video!.rtpParameters.encodings!.map((encoding) => encoding.rid);
  t.strictSame(layers('send h;m;l'), ['h', 'm', 'l']);
  t.strictSame(layers('recv x send ~h,m;l'), ['h', 'l'], 'the first alternative, even if it is paused');
  t.strictSame(layers('send h;h;nobody'), [undefined], 'one layer is no simulcast');
  const answer = buildAnswer({ offer: parseOffer(layered('send h;m;l'), WHIP), transport: LOCAL });
  t.match(answer, /a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n/);
  t.match(answer, /a=recvonly\r\na=rid:h recv\r\na=rid:m recv\r\na=rid:l recv\r\na=simulcast:recv h;m;l\r\n/);
});
