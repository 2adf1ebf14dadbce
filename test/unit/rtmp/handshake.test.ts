import t from 'tap';
import { createC0C1, HandshakeReader } from '../../../src/rtmp/handshake.ts';

void t.test('C0 and C1 say version 3 and "simple"', async (t) => {
  const bytes = createC0C1();
  t.equal(bytes.length, 1537);
  t.same([...bytes.subarray(0, 9)], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
  t.notSame(createC0C1(), bytes, 'random');
});

void t.test('the server may drip', async (t) => {
  const s1 = Buffer.alloc(1536, 7);
  const bytes = Buffer.concat([Buffer.from([3]), s1, Buffer.alloc(1536, 8), Buffer.from('next')]);
  const reader = new HandshakeReader();
  let rest = Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at++) {
    t.equal(reader.complete, at >= 3073);
    rest = Buffer.concat([rest, reader.push(bytes.subarray(at, at + 1))]);
  }
  t.same(reader.createC2(), s1);
  t.equal(rest.toString(), 'next');
});

void t.test('another protocol is noticed at its first byte', async (t) => {
  t.throws(() => new HandshakeReader().push(Buffer.from('HTTP/1.1 400 Bad Request')), { code: 'protocol' });
});
