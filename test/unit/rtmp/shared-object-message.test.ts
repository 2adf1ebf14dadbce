import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { Amf0Error } from '../../../src/media/amf0.ts';
import {
  decodeSharedObject,
  encodeSharedObject,
  type SharedObjectEvent,
} from '../../../src/rtmp/shared-object-message.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

void t.test('the bytes of RTMP 1.0, 7.1.3', async (t) => {
  const bytes = hex(
    '0004 63686174' + // chat
      ' 00000007 00000002 00000000' + // version 7, persistent
      ' 0b 00000000' +
      ' 04 0000000d 0002 7469 00 4000000000000000' + // ti = 2
      ' 05 00000003 0001 61' +
      ' 06 00000008 02 0002 6869 05 0101' + // hi(null, true)
      ' 07 00000009 0002 6e6f 0003 657272' +
      ' 09 00000003 0001 62' +
      ' 08 00000000',
  );
  const events: SharedObjectEvent[] = [
    { type: 'initialData' },
    { type: 'change', key: 'ti', value: 2 },
    { type: 'success', key: 'a' },
    { type: 'sendMessage', method: 'hi', args: [null, true] },
    { type: 'status', code: 'no', level: 'err' },
    { type: 'remove', key: 'b' },
    { type: 'clear' },
  ];
  t.same(decodeSharedObject(bytes, 8), { name: 'chat', version: 7, persistent: true, events });
  t.equal(
    encodeSharedObject({ name: 'chat', version: 7, persistent: true, events }).toString('hex'),
    bytes.toString('hex'),
  );
});

void t.test('one event may change several properties, and unknown events are left out', async (t) => {
  const bytes = hex(
    '0001 73 00000000 00000000 00000000 04 0000000a 0001 61 0101 0001 62 0100 63 00000002 ffff 01 00000000',
  );
  t.same(decodeSharedObject(bytes, 8).events, [
    { type: 'change', key: 'a', value: true },
    { type: 'change', key: 'b', value: false },
    { type: 'use' },
  ]);
});

/** Plain objects. */
const record = <Fields extends Record<string, unknown>>(fields: {
  [Key in keyof Fields]: fc.Arbitrary<Fields[Key]>;
}): fc.Arbitrary<Fields> => fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<Fields>;

const anyEvent: fc.Arbitrary<SharedObjectEvent> = fc.oneof(
  record({ type: fc.constantFrom('use', 'release', 'clear', 'initialData') }),
  record({ type: fc.constantFrom('success', 'remove', 'requestRemove'), key: fc.string() }),
  record({
    type: fc.constantFrom('change', 'requestChange'),
    key: fc.string(),
    value: fc.oneof(fc.double(), fc.string(), fc.array(fc.boolean())),
  }),
  record({ type: fc.constant('sendMessage'), method: fc.string(), args: fc.array(fc.double()) }),
  record({ type: fc.constant('status'), code: fc.string(), level: fc.string() }),
);

const anyMessage = record({
  name: fc.string(),
  version: fc.nat({ max: 0xffffffff }),
  persistent: fc.boolean(),
  events: fc.array(anyEvent, { maxLength: 8 }),
});

void t.test('a round trip keeps everything', async () => {
  fc.assert(
    fc.property(anyMessage, (message) => deepStrictEqual(decodeSharedObject(encodeSharedObject(message), 8), message)),
  );
});

void t.test('bytes that end early or are changed give a message or an Amf0Error', async () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(), fc.nat({ max: 255 }), (message, at, value) => {
      const bytes = encodeSharedObject(message);
      const position = at % bytes.length;
      const changed = Buffer.from(bytes);
      changed[position] = value;
      for (const broken of [bytes.subarray(0, position), changed]) {
        try {
          decodeSharedObject(broken, 8);
        } catch (error) {
          if (!(error instanceof Amf0Error)) throw error;
        }
      }
    }),
  );
});

void t.test('limits: number of events, length of names, depth of values', async (t) => {
  const message = (events: SharedObjectEvent[]) => ({ name: 'x', version: 0, persistent: false, events });
  const uses = Array.from({ length: 9 }, (): SharedObjectEvent => ({ type: 'use' }));
  t.throws(() => decodeSharedObject(encodeSharedObject(message(uses)), 8), Amf0Error);
  t.throws(() => encodeSharedObject(message([{ type: 'success', key: 'k'.repeat(65_536) }])), Amf0Error);
  const deep = Buffer.concat([hex('0001 78 00000000 00000000 00000000 03 000001f7 0001 6b'), Buffer.alloc(500, 0x0a)]);
  t.throws(() => decodeSharedObject(deep, 8), Amf0Error);
});
