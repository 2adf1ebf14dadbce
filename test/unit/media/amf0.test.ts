import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Amf0Error, decodeAmf0, EcmaArray, encodeAmf0 } from '../../../src/media/amf0.ts';
import type { Amf0Object, Amf0Value } from '../../../src/media/amf0.ts';

/** Any value that AMF0 can carry, in the form in which it is decoded: objects without a prototype. */
const anyValue = fc.letrec<{ value: Amf0Value; object: Amf0Object }>((tie) => ({
  object: fc
    .array(fc.tuple(fc.string({ unit: 'grapheme' }), tie('value')), { maxLength: 5 })
    .map(
      (entries) =>
        Object.assign(
          Object.create(null),
          Object.fromEntries(entries.filter(([key]) => key !== '__proto__')),
        ) as Amf0Object,
    ),
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.double(),
    fc.boolean(),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom<Amf0Value>(null, undefined),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value'), { maxLength: 5 }),
    tie('object'),
    tie('object').map((entries) => new EcmaArray(entries)),
  ),
})).value;

void t.test('a round trip keeps all values', async () => {
  fc.assert(
    fc.property(fc.array(anyValue, { maxLength: 5 }), (values) =>
      deepStrictEqual(decodeAmf0(encodeAmf0(...values)), values),
    ),
  );
});

void t.test('any bytes give values or an Amf0Error, quickly', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        decodeAmf0(Buffer.from(bytes));
      } catch (error) {
        if (!(error instanceof Amf0Error)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

void t.test('bytes match the specification', async (t) => {
  t.equal(encodeAmf0('connect', 1).toString('hex'), '020007636f6e6e656374' + '003ff0000000000000');
  t.equal(encodeAmf0({ app: 'live' }).toString('hex'), '03' + '0003617070' + '0200046c697665' + '000009');
  t.equal(encodeAmf0(new EcmaArray({ a: true })).toString('hex'), '0800000001' + '000161' + '0101' + '000009');
  t.equal(encodeAmf0([null, undefined]).toString('hex'), '0a00000002' + '0506');
  t.equal(encodeAmf0('x'.repeat(65536)).subarray(0, 5).toString('hex'), '0c00010000');
});

void t.test('decodes types that are never written', async (t) => {
  t.same(decodeAmf0(Buffer.from('0d' + '0f00000001' + '78' + '10000141' + '000161' + '0101' + '000009', 'hex')), [
    undefined,
    'x',
    { a: true },
  ]);
  t.same(decodeAmf0(encodeAmf0({ '\tkey': 1 })), [{ '\tkey': 1 }], 'a key that begins like the end of an object');
});

void t.test('ignores the count of an associative array', async (t) => {
  for (const count of ['00000000', 'ffffffff']) {
    const [array] = decodeAmf0(Buffer.from(`08${count}0001610101000009`, 'hex')) as [EcmaArray];
    t.same({ ...array.entries }, { a: true });
  }
});

void t.test('keys cannot reach a prototype', async (t) => {
  const [object] = decodeAmf0(
    Buffer.concat([
      Buffer.from('0300095f5f70726f746f5f5f', 'hex'),
      encodeAmf0({ polluted: true }),
      Buffer.from('000009', 'hex'),
    ]),
  ) as [Amf0Object];
  t.same(Object.keys(object), ['__proto__']);
  t.equal(object['polluted'], undefined);
  t.equal(({} as { polluted?: boolean }).polluted, undefined);
});

void t.test('refuses excessive depth and numbers of values', async (t) => {
  t.throws(
    () => decodeAmf0(Buffer.alloc(1_000_000, Buffer.from('0300016103', 'hex'))),
    { name: 'Amf0Error' },
    'nested objects',
  );
  t.throws(
    () => decodeAmf0(Buffer.alloc(1_000_000, Buffer.from('0a00000001', 'hex'))),
    { name: 'Amf0Error' },
    'nested arrays',
  );
  t.throws(() => decodeAmf0(Buffer.alloc(1_000_000, 5)), { message: /too many values/ }, 'a million nulls');
  t.throws(
    () => decodeAmf0(Buffer.from('0affffffff', 'hex')),
    { name: 'Amf0Error' },
    'an array of four thousand million',
  );
  t.throws(() => decodeAmf0(Buffer.from('0cffffffff61', 'hex')), { name: 'Amf0Error' }, 'a string of four gigabytes');
  t.throws(() => decodeAmf0(Buffer.from('070000', 'hex')), { name: 'Amf0Error' }, 'a reference');
  let nested: Amf0Value = 1;
  for (let depth = 0; depth < 100; depth++) nested = [nested];
  t.throws(() => encodeAmf0(nested), { name: 'Amf0Error' });
  t.throws(() => encodeAmf0({ ['x'.repeat(70_000)]: 1 }), { name: 'Amf0Error' });
});
