import fc from 'fast-check';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { buildIceFragment, parseIceFragment } from '../../../src/webrtc/sdp-fragment.ts';
import { processorMs } from '../../helpers/processor-ms.ts';

const UFRAG = 'a=ice-ufrag:EsAw';
const PWD = 'a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1';
const CANDIDATE =
  'a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1';

t.test("RFC 9725's examples", async (t) => {
  const trickled = [
    UFRAG,
    PWD,
    'm=audio 9 RTP/AVP 0',
    'a=mid:0',
    CANDIDATE,
    CANDIDATE.replace('udp', 'tcp') + ' tcptype active',
    'a=end-of-candidates',
    '',
  ].join('\r\n');
  t.strictSame(parseIceFragment(trickled), {
    usernameFragment: 'EsAw',
    password: 'P2uYro0UCOQ4zxjKXaWCBui1',
    candidates: 2,
  });
  t.strictSame(parseIceFragment(`${UFRAG}\n${PWD}`).candidates, 0);
});

t.test('candidates of any kind, including mDNS names, are accepted', async (t) => {
  for (const candidate of [
    '1 1 UDP 1 0b7b1f6e-1b1c-4f0e-8f7e-5a8f9f0b1c2d.local 9 typ host',
    '+/ 256 sctp 4294967295 2001:db8::1 65535 typ relay raddr :: rport 0',
  ])
    t.equal(parseIceFragment(`${UFRAG}\r\n${PWD}\r\na=candidate:${candidate}\r\n`).candidates, 1);
});

t.test('malformed fragments are refused', async (t) => {
  const fragments = [
    '',
    'hello',
    PWD,
    UFRAG,
    `a=ice-ufrag:x\r\n${PWD}`,
    `${UFRAG}\r\na=ice-pwd:short`,
    `${UFRAG}\r\n${PWD}\r\na=candidate:x`,
    `${UFRAG}\r\n${PWD}\r\n\u0007`,
    `${UFRAG}\r\n${PWD}\r\n${`${CANDIDATE}\r\n`.repeat(201)}`,
    `${UFRAG} \r\n${PWD}`,
  ];
  for (const fragment of fragments)
    t.throws(() => parseIceFragment(fragment), { code: 'INVALID_SDP' }, fragment.slice(0, 60));
});

t.test('any text is parsed or refused, in bounded time', async () => {
  const line = fc.oneof(
    fc.constantFrom(UFRAG, PWD, CANDIDATE, 'm=audio 9 RTP/AVP 0'),
    fc.string(),
    fc.string().map((text) => `a=candidate:${text}`),
  );
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom('\r\n', '\n'), (lines, end) => {
      try {
        parseIceFragment(lines.join(end));
      } catch (error) {
        if (!(error instanceof GatewayError) || error.code !== 'INVALID_SDP') throw error;
      }
    }),
  );
  const tookMs = processorMs(() => {
    t.throws(() => parseIceFragment(`a=candidate:${' 1'.repeat(32_000)}`), { code: 'INVALID_SDP' });
  });
  t.ok(tookMs < 200, `${tookMs} ms`);
});

t.test('the answer to a restart can be parsed as a fragment', async (t) => {
  const fragment = buildIceFragment({ usernameFragment: 'abcd', password: 'x'.repeat(22), iceLite: true });
  t.match(fragment, /^a=ice-lite\r\n/);
  t.match(parseIceFragment(fragment), { usernameFragment: 'abcd', password: 'x'.repeat(22) });
});
