/** Messages to mutate: each kind that the gateway reads, with the headers and bodies that it looks into. */

export function sipMessage(firstLine: string, headers: readonly string[] = [], body = ''): string {
  const method = firstLine.startsWith('SIP/2.0') ? 'INVITE' : firstLine.split(' ')[0]!;
  return [
    firstLine,
    'Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport',
    'From: "A" <sip:a@example.com>;tag=f1',
    'To: <sip:b@example.com>',
    'Call-ID: call@example.com',
    `CSeq: 1 ${method}`,
    ...headers,
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n');
}

export const SDP_SAMPLES = [
  [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    'm=audio 25000 RTP/AVP 0 8 96 101',
    'a=rtpmap:96 opus/48000/2',
    'a=rtpmap:101 telephone-event/8000',
    'a=fmtp:101 0-15',
    'a=sendrecv',
    'm=video 25002 RTP/AVPF 97',
    'a=rtpmap:97 H264/90000',
    'a=fmtp:97 profile-level-id=42e01f;packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==',
    'a=rtcp-fb:* nack pli',
    '',
  ].join('\r\n'),
  [
    'v=0',
    'o=- 1 2 IN IP4 10.0.0.1',
    's=-',
    'c=IN IP4 0.0.0.0',
    'a=sendonly',
    't=0 0',
    'm=audio 25000 RTP/SAVP 0',
    'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw',
    'a=rtcp:25005',
    '',
  ].join('\r\n'),
];

export const sipCorpus = (): Buffer[] =>
  [
    sipMessage(
      'INVITE sip:b@example.com SIP/2.0',
      ['Contact: <sip:a@127.0.0.1>', 'Content-Type: application/sdp'],
      SDP_SAMPLES[0],
    ),
    sipMessage('INVITE sip:b@example.com SIP/2.0', ['Record-Route: <sip:p;lr>, <sip:q;lr>'], SDP_SAMPLES[1]),
    sipMessage('SIP/2.0 200 OK', [
      'Contact: <sip:b@127.0.0.1>',
      'Session-Expires: 1800;refresher=uac',
      'Require: timer',
    ]),
    sipMessage('SIP/2.0 401 Unauthorized', [
      'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"',
      'WWW-Authenticate: Digest realm="r", nonce="n", stale=true',
    ]),
    sipMessage('SIP/2.0 183 Session Progress', ['Require: 100rel', 'RSeq: 1']),
    sipMessage('BYE sip:b@example.com SIP/2.0', ['Reason: Q.850;cause=16;text="bye"']),
    sipMessage(
      'INFO sip:b@example.com SIP/2.0',
      ['Content-Type: application/dtmf-relay'],
      'Signal=5\r\nDuration=160\r\n',
    ),
    sipMessage(
      'INVITE sip:studio%20a@example.com;stream=studio SIP/2.0',
      [
        'Contact: <sip:a@127.0.0.1;transport=tcp>',
        'Authorization: Digest username="1001", realm="gw", nonce="a-0123456789abcdef-0123456789abcdef0123456789abcdef", uri="sip:b", response="0123456789abcdef0123456789abcdef", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"',
        'Require: 100rel',
        'Record-Route: <sip:p;lr>',
        'Content-Type: application/sdp',
      ],
      SDP_SAMPLES[1],
    ),
    sipMessage('PRACK sip:b@example.com SIP/2.0', ['RAck: 7 1 INVITE']),
    sipMessage('CANCEL sip:b@example.com SIP/2.0', ['Reason: SIP;cause=200']),
    sipMessage('OPTIONS sip:b@example.com SIP/2.0', ['Accept: application/sdp']),
  ].map((text) => Buffer.from(text));
