import t from 'tap';
import { BadMessage } from '../../../src/sip/message/bad-message.ts';
import { formatNameAddr, parseNameAddr, parseUri, parseVia } from '../../../src/sip/message/address.ts';
import { respond, type SipRequest } from '../../../src/sip/message/message.ts';
import { MESSAGE_LIMITS, parseDatagram } from '../../../src/sip/message/parse-message.ts';
import { splitList } from '../../../src/sip/message/text.ts';
import { MessageReader } from '../../../src/sip/transport/message-reader.ts';
import { mutate, seededRandom } from '../../fuzz/mutate.ts';
import { sipCorpus, sipMessage } from '../../fuzz/sip-target.ts';
import { processorMs } from '../../helpers/processor-ms.ts';

const INVITE = sipMessage('INVITE sip:1001@127.0.0.1 SIP/2.0', ['Contact: <sip:a@10.0.0.1>'], 'v=0\r\n');

t.test('a message is read and written', async (t) => {
  const message = parseDatagram(Buffer.from(INVITE)) as SipRequest;
  t.match(message, { kind: 'request', method: 'INVITE', uri: 'sip:1001@127.0.0.1' });
  t.equal(message.body.toString(), 'v=0\r\n');
  t.equal(message.from.params.get('tag'), 'f1');
  t.same(parseDatagram(message.toBuffer()).headers, message.headers);
});

t.test('compact names, folded lines and lists', async (t) => {
  const text = [
    'SIP/2.0 200 OK',
    'v: SIP/2.0/UDP a:5060;branch=z9hG4bK1, SIP/2.0/TCP b',
    'f: "A, B" <sip:a@b>;tag=1',
    't: <sip:c@d>;tag=2',
    'i: call',
    'CSeq: 7 INVITE',
    'm: <sip:x@y;transport=tcp>,',
    ' <sip:z@y>',
    'Subject: one',
    '\ttwo',
    '',
    '',
  ].join('\r\n');
  const message = parseDatagram(Buffer.from(text));
  t.same(message.all('via'), ['SIP/2.0/UDP a:5060;branch=z9hG4bK1', 'SIP/2.0/TCP b']);
  t.same(message.all('contact'), ['<sip:x@y;transport=tcp>', '<sip:z@y>']);
  t.equal(message.get('subject'), 'one two');
  t.equal(message.from.name, 'A, B');
});

t.test('what is not valid or too large is refused', async (t) => {
  const cases: Record<string, string> = {
    'no CSeq': INVITE.replace(/CSeq.*\r\n/, ''),
    'another method in CSeq': INVITE.replace('1 INVITE', '1 BYE'),
    'no tag of From': INVITE.replace(';tag=f1', ''),
    'a status of 7xx': INVITE.replace(/^.*\r\n/, 'SIP/2.0 700 X\r\n'),
    'another version': INVITE.replace('SIP/2.0\r\n', 'SIP/3.0\r\n'),
    'a URI with a space': INVITE.replace('sip:1001', 'sip: 1001'),
    'a header without a colon': INVITE.replace('Contact:', 'Contact'),
    'a control character': INVITE.replace('Call-ID: ', 'Call-ID: \u0000'),
    'a lone line feed': INVITE.replace('Call-ID: ', 'Call-ID: a\nEvil: '),
    'a body that is too short': INVITE.replace(/Content-Length: \d+/, 'Content-Length: 99'),
    'a negative length': INVITE.replace(/Content-Length: \d+/, 'Content-Length: -1'),
    'a long line': INVITE.replace('Contact:', `X: ${'x'.repeat(MESSAGE_LIMITS.line)}\r\nContact:`),
    'a long folded header': INVITE.replace('Contact:', `X: ${'x'.repeat(5000)}\r\n ${'x'.repeat(5000)}\r\nContact:`),
    'many headers': INVITE.replace('Contact:', `${'X: y\r\n'.repeat(MESSAGE_LIMITS.headers)}Contact:`),
    'many values': INVITE.replace('Contact:', `Route: ${'<sip:a>,'.repeat(MESSAGE_LIMITS.values + 1)}\r\nContact:`),
    'a long message': `${INVITE}${'x'.repeat(MESSAGE_LIMITS.message)}`,
    'no end of the headers': INVITE.slice(0, 100),
  };
  for (const [what, text] of Object.entries(cases)) t.throws(() => parseDatagram(Buffer.from(text)), BadMessage, what);
});

t.test('addresses', async (t) => {
  t.match(parseUri('sips:+1-212@Example.COM:5061;transport=tcp?x=y'), {
    scheme: 'sips',
    user: '+1-212',
    host: 'example.com',
    port: 5061,
  });
  t.match(parseUri('sip:[2001:db8::1]:5060'), { host: '2001:db8::1', port: 5060, user: undefined });
  for (const bad of ['tel:1', 'sip:', 'sip:a@b:0', 'sip:a@b:99999', 'sip:a b@c', 'sip:a@b>', 'http://a'])
    t.throws(() => parseUri(bad), BadMessage, bad);
  t.match(parseNameAddr('sip:a@b;tag=1'), { uri: 'sip:a@b', name: '' });
  t.equal(parseNameAddr('"q \\" <x>" <sip:a@b>').name, 'q " <x>');
  t.throws(() => parseNameAddr('<sip:a@b'), BadMessage);
  t.equal(parseVia('SIP / 2.0 / udp host : 5070 ;branch=x').port, 5070);
  t.same(splitList('a, "b, c" <d, e>, f'), ['a', '"b, c" <d, e>', 'f']);
  t.equal(formatNameAddr('a"\r\nEvil: x', 'sip:a@b'), '"a\\"Evil: x" <sip:a@b>', 'no header is injected');
});

t.test('responses repeat what RFC 3261 says', async (t) => {
  const request = parseDatagram(Buffer.from(INVITE)) as SipRequest;
  request.set('record-route', '<sip:p;lr>');
  const response = parseDatagram(respond(request, 200, { toTag: 'x', sdp: 'v=0' }).toBuffer());
  t.equal(response.to.params.get('tag'), 'x');
  t.same(response.all('record-route'), ['<sip:p;lr>']);
  t.equal(response.bodyOf('application/sdp'), 'v=0');
  t.equal(respond(request, 486).get('record-route'), undefined);
});

t.test('a TCP connection is cut into messages at any place', async (t) => {
  const bytes = Buffer.from(`\r\n\r\n${INVITE}\r\n${INVITE}`);
  for (const size of [1, 7, 100, bytes.length]) {
    const reader = new MessageReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
    t.same(
      read.map(({ body }) => body.toString()),
      ['v=0\r\n', 'v=0\r\n'],
      `in pieces of ${size}`,
    );
    t.notOk(reader.isWaiting);
  }
  t.throws(() => new MessageReader().push(Buffer.alloc(MESSAGE_LIMITS.message + 1, 'x')), BadMessage);
});

t.test('mutated messages cause no other exception, and none takes long', async (t) => {
  const seed = Number(process.env['SEED'] ?? 1);
  const runs = Number(process.env['RUNS'] ?? 4000);
  const corpus = sipCorpus();
  let slowest = 0;
  for (let run = 0; run < runs; run++) {
    const random = seededRandom(seed + run);
    const bytes = mutate(corpus, 0, random);
    const startMs = performance.now();
    try {
      const message = parseDatagram(bytes);
      if (message.kind === 'request') respond(message, 200, { toTag: 'x' }).toBuffer();
      for (const contact of message.all('contact')) parseNameAddr(contact);
      new MessageReader().push(bytes);
    } catch (error) {
      if (!(error instanceof BadMessage)) return t.fail(`seed ${seed + run}: ${String(error)}`);
    }
    slowest = Math.max(slowest, performance.now() - startMs);
  }
  t.comment(`slowest: ${slowest.toFixed(2)} ms`);
  t.pass(`${runs} mutations`);
});

t.test('the largest messages are read in little time', async (t) => {
  const head = INVITE.slice(0, INVITE.indexOf('Contact:'));
  for (const filling of [';', ',', '<', '"', '\\"', ' ', '=', '\t', 'a@', '[', ':']) {
    const header = `X-Y: ${filling.repeat(4000)}\r\nContact: ${filling.repeat(4000)}\r\nVia: ${filling.repeat(4000)}\r\n`;
    const tookMs = processorMs(() => {
      for (let i = 0; i < 10; i++)
        try {
          parseDatagram(Buffer.from(`${head}${header}\r\n`));
        } catch (error) {
          if (!(error instanceof BadMessage)) throw error;
        }
    });
    t.ok(tookMs < 1000, `${JSON.stringify(filling)}: ${tookMs} ms`);
  }
});
