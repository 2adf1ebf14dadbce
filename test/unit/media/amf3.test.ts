import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import t from 'tap';
import { decodeAmf0, decodeAmf0Start, EcmaArray, encodeAmf0, type Amf0Value } from '../../../src/media/amf0.ts';
import { encodeAmf3 } from '../../helpers/amf3.ts';

const decode = (hex: string): Amf0Value[] => decodeAmf0(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

const { value } = fc.letrec<{ value: Amf0Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.double(),
    fc.integer(),
    fc.boolean(),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('', 'code', 'level', null, undefined),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value')),
    fc.dictionary(
      fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
      tie('value'),
    ),
  ),
}));

const plain = (any: Amf0Value): unknown =>
  Array.isArray(any)
    ? any.map(plain)
    : any instanceof EcmaArray
      ? plain(any.entries)
      : typeof any === 'object' && any !== null && !(any instanceof Date)
        ? Object.fromEntries(Object.entries(any).map(([key, item]) => [key, plain(item)]))
        : any;

void t.test('values in AMF3 among values in AMF0', async () => {
  fc.assert(
    fc.property(fc.array(value), (values) => {
      const bytes = Buffer.concat([encodeAmf0('onStatus', 0), encodeAmf3(...values)]);
      deepStrictEqual(decodeAmf0(bytes).map(plain), ['onStatus', 0, ...values.map(plain)]);
    }),
  );
});

void t.test('what the specification has besides', async (t) => {
  t.same(decode('11 0d 05 00 00000001 ffffffff'), [[1, -1]], 'a vector of integers');
  t.same(decode('11 0e 03 01 ffffffff'), [[0xffffffff]], 'a vector of unsigned integers');
  t.same(decode('11 0f 03 00 3ff0000000000000'), [[1]], 'a vector of doubles');
  t.same(decode('11 10 05 00 01 0403 06 03 78'), [[3, 'x']], 'a vector of objects');
  t.same(decode('11 11 05 00 06 03 61 0401 06 03 62 0402'), [new EcmaArray({ a: 1, b: 2 })], 'a dictionary');
  t.same(decode('11 09 03 03 61 0401 01 0402'), [new EcmaArray({ a: 1, 0: 2 })], 'an array with names');
  t.same(decode('11 0c 07 010203 11 0403'), [undefined, 3], 'bytes');
  t.same(decode('11 07 03 78 11 0b 03 79'), ['x', 'y'], 'XML');
  t.same(decode('11 0a 23 03 43 03 61 03 62 0401 0402'), [{ a: 1, b: 2 }], 'a class with two properties');
  const collection = Buffer.from('flex.messaging.io.ArrayCollection').toString('hex');
  t.same(decode(`11 0a 07 43 ${collection} 09 03 01 0405 11 0a 00`), [[5], [5]], 'a collection, and a reference to it');
  t.throws(() => decode('11 0a 07 03 43 00'), { message: /class whose content/ }, 'a class that writes itself');
  t.same(decode('11 04 ffffffff'), [-1], 'a negative integer');
  t.same(decode('11 04 c0 80 80 00'), [-(2 ** 28)]);
});

void t.test('references to objects', async (t) => {
  const [first, second] = decode('11 0a 0b 01 03 61 0401 01  11 0a 00') as [object, object];
  t.same(first, { a: 1 });
  t.equal(second, first, 'AMF3');
  const [one, two] = decode('03 0001 61 01 01 000009  07 0000') as [object, object];
  t.same(one, { a: true });
  t.equal(two, one, 'AMF0');
  t.same(decode('0a 00000002 05 05  07 0000'), [
    [null, null],
    [null, null],
  ]);
  t.same(decode('03 0001 61 07 0000 000009'), [{ a: undefined }], 'a value inside itself');
  t.same(decode('11 09 03 01 09 00'), [[undefined]], 'in AMF3 too');
  for (const hex of ['07 0000', '11 0a 02', '11 0a 05', '11 06 00', '03 0001 61 05 000009 07 0001'])
    t.throws(() => decode(hex), { message: /leads nowhere/ }, hex);
});

void t.test('is bounded', async (t) => {
  const bombs: [string, Buffer][] = [
    ['depth', Buffer.alloc(500_000, Buffer.from('0903', 'hex'))],
    [
      'nested objects',
      Buffer.concat([Buffer.from('0a0b01', 'hex'), Buffer.alloc(100_000, Buffer.from('03610a01', 'hex'))]),
    ],
    ['a million values', Buffer.concat([Buffer.from('09ffffffff01', 'hex'), Buffer.alloc(1_000_000, 1)])],
    ['a large count', Buffer.from('09ffffffff01', 'hex')],
    ['a large vector', Buffer.from('0fffffffff00', 'hex')],
    ['a large text', Buffer.from('06ffffffff', 'hex')],
    ['many properties', Buffer.from('0affffffff01', 'hex')],
    [
      'a text that is repeated',
      Buffer.concat([encodeAmf3('x'.repeat(10_000)).subarray(1), Buffer.alloc(50_000, Buffer.from('110600', 'hex'))]),
    ],
  ];
  for (const [name, bytes] of bombs)
    t.throws(() => decodeAmf0(Buffer.concat([Buffer.from([0x11]), bytes])), { name: 'Amf0Error' }, name);

  // Each array holds the one before ten times, in AMF0 and in AMF3.
  const laughs = Array.from(
    { length: 20 },
    (_, index) => `0a0000000a${`07${(index % 256).toString(16).padStart(4, '0')}`.repeat(10)}`,
  );
  t.throws(() => decode(`0a00000000${laughs.join('')}`), { name: 'Amf0Error' });
  const more = Array.from(
    { length: 20 },
    (_, index) => `11091501${`09${(index * 2).toString(16).padStart(2, '0')}`.repeat(10)}`,
  );
  t.throws(() => decode(`11090101${more.join('')}`), { name: 'Amf0Error' });
  // Each array holds the one before: what is decoded can be encoded again.
  const chain = Array.from({ length: 100 }, (_, index) => `0a0000000107${index.toString(16).padStart(4, '0')}`);
  t.throws(() => decode(`0a00000000${chain.join('')}`), { message: /too deeply/ });
});

void t.test('bytes of any kind are decoded or refused', async () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    // Mostly markers and small numbers, which lead further.
    fc.array(fc.integer({ min: 0, max: 0x12 }), { maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      const { values } = decodeAmf0Start(Buffer.concat([Buffer.from([0x11]), bytes]));
      encodeAmf0(...values);
    }),
    { numRuns: 2000 },
  );
});

void t.test('what is before a fault is known', async (t) => {
  const whole = encodeAmf0('onStatus', 0, null, { level: 'error', code: 'X', description: 'words' });
  for (let length = 0; length < whole.length; length++) {
    const { values, fault } = decodeAmf0Start(whole.subarray(0, length));
    t.ok(fault ?? [0, 11, 20, 21].includes(length), `${length} bytes`);
    t.ok(values.length <= 4);
  }
  const cut = decodeAmf0Start(whole.subarray(0, whole.length - 4)).values[3];
  t.same(cut, { level: 'error', code: 'X' });
  t.same(decodeAmf0Start(Buffer.from('02000161 04', 'hex')).values, ['a']);
});
