import fc from 'fast-check';
import t from 'tap';
import { parseRtpPacket } from '../../../../src/media/rtp/rtp-packet.ts';

const HEADER = Buffer.from('80e0fffe80000001deadbeef', 'hex');

t.test('the fields of a plain packet', async (t) => {
  const payload = Buffer.from('payload');
  t.same(parseRtpPacket(Buffer.concat([HEADER, payload])), {
    payloadType: 96,
    sequenceNumber: 0xfffe,
    timestamp: 0x80000001,
    ssrc: 0xdeadbeef,
    marker: true,
    payload,
  });
});

t.test('contributing sources, extension and padding are removed', async (t) => {
  const header = Buffer.from(HEADER);
  header[0] = 0x80 | 0x20 | 0x10 | 2;
  const sources = Buffer.alloc(8, 1);
  const extension = Buffer.from('bede0001aabbccdd', 'hex');
  const packet = parseRtpPacket(
    Buffer.concat([header, sources, extension, Buffer.from('xyz'), Buffer.from([0, 0, 3])]),
  );
  t.equal(packet!.payload.toString(), 'xyz');
});

t.test('a packet with only padding has an empty payload', async (t) => {
  const header = Buffer.from(HEADER);
  header[0] = 0xa0;
  t.equal(parseRtpPacket(Buffer.concat([header, Buffer.from([0, 0, 0, 4])]))!.payload.length, 0);
  t.equal(parseRtpPacket(HEADER)!.payload.length, 0);
  t.equal(
    parseRtpPacket(Buffer.concat([Buffer.of(0x90), HEADER.subarray(1), Buffer.from('bede0000', 'hex')]))!.payload
      .length,
    0,
    'and so has one with an empty extension',
  );
});

t.test('malformed packets are refused', async (t) => {
  const broken: Array<[string, Buffer]> = [
    ['empty', Buffer.alloc(0)],
    ['short', HEADER.subarray(0, 11)],
    ['another version', Buffer.concat([Buffer.of(0x40), HEADER.subarray(1)])],
    ['sources beyond the end', Buffer.concat([Buffer.of(0x8f), HEADER.subarray(1)])],
    ['no room for the extension', Buffer.concat([Buffer.of(0x90), HEADER.subarray(1), Buffer.alloc(3)])],
    [
      'extension beyond the end',
      Buffer.concat([Buffer.of(0x90), HEADER.subarray(1), Buffer.from('bede0002aabbccdd', 'hex')]),
    ],
    ['padding of 0', Buffer.concat([Buffer.of(0xa0), HEADER.subarray(1), Buffer.of(1, 0)])],
    ['padding beyond the start', Buffer.concat([Buffer.of(0xa0), HEADER.subarray(1), Buffer.of(1, 3)])],
  ];
  for (const [name, datagram] of broken) t.equal(parseRtpPacket(datagram), undefined, name);
});

t.test('any bytes: a packet whose payload is inside the datagram, or none', async (t) => {
  const datagram = fc
    .tuple(fc.integer({ min: 0x80, max: 0xbf }), fc.uint8Array({ maxLength: 100 }))
    .map(([first, rest]) => Buffer.from([first, ...rest]));
  fc.assert(
    fc.property(datagram, (bytes) => {
      const packet = parseRtpPacket(bytes);
      return packet === undefined || packet.payload.length <= bytes.length - 12;
    }),
  );
});
