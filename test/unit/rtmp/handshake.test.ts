import t from 'tap';
import { createHello, HandshakeReader } from '../../../src/rtmp/handshake.ts';

void t.test('C0 and C1: version 3 and the simple handshake', async (t) => {
  const bytes = createHello();
  t.equal(bytes.length, 1537);
  t.same([...bytes.subarray(0, 9)], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
  t.notSame(createHello(), bytes, 'random');
});

void t.test('the server may send byte by byte', async (t) => {
  const s1 = Buffer.alloc(1536, 7);
  const bytes = Buffer.concat([Buffer.from([3]), s1, Buffer.alloc(1536, 8), Buffer.from('next')]);
  const reader = new HandshakeReader();
  let rest = '';
  const c2: [number, Buffer][] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (reader.complete !== at >= 3073) t.fail(`complete at ${at}`);
    rest += reader.push(bytes.subarray(at, at + 1)).toString();
    const taken = reader.takeEcho();
    if (taken) c2.push([at, taken]);
  }
  t.same(c2, [[1536, s1]], 'C2 repeats S1, as soon as that is there');
  t.equal(rest, 'next');
});

void t.test('another protocol is detected at its first byte', async (t) => {
  t.throws(() => new HandshakeReader().push(Buffer.from('HTTP/1.1 400 Bad Request')), { code: 'protocol' });
});
