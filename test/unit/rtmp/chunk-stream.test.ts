import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ChunkReader } from '../../../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../../src/rtmp/chunk-writer.ts';
import { MESSAGE, uint32 } from '../../../src/rtmp/message.ts';
import type { RtmpMessage } from '../../../src/rtmp/message.ts';
import { RtmpError } from '../../../src/rtmp/rtmp-error.ts';

function written(write: (sink: { write(bytes: Buffer): void }) => void): Buffer {
  const parts: Buffer[] = [];
  write({ write: (bytes) => void parts.push(bytes) });
  return Buffer.concat(parts);
}

function read(pieces: readonly Buffer[], maxPending?: number): RtmpMessage[] {
  const messages: RtmpMessage[] = [];
  const reader = new ChunkReader((message) => messages.push(message), maxPending);
  for (const piece of pieces) reader.push(piece);
  return messages;
}

/** Splits bytes at the positions in `cuts`, into pieces of at least 1 byte. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + (cuts[turn % cuts.length] ?? bytes.length);
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

const anyMessage = fc.record({
  chunkStreamId: fc.integer({ min: 2, max: 63 }),
  type: fc.constantFrom(MESSAGE.audio, MESSAGE.video, MESSAGE.data, MESSAGE.command),
  streamId: fc.nat({ max: 0xffffffff }),
  timestamp: fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff)),
  payload: fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
});

void t.test('messages are read as they were written, with any chunk size and split anywhere', async () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 8 }),
      fc.integer({ min: 1, max: 800 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      (messages, chunkSize, cuts) => {
        const bytes = written((sink) => {
          const writer = new ChunkWriter();
          writer.write(sink, 2, MESSAGE.setChunkSize, 0, 0, uint32(chunkSize));
          writer.chunkSize = chunkSize;
          for (const { chunkStreamId, type, streamId, timestamp, payload } of messages) {
            const count = writer.write(sink, chunkStreamId, type, streamId, timestamp, payload);
            deepStrictEqual(writer.size(timestamp, payload.length), count);
          }
        });
        const expected = messages.map(({ type, streamId, timestamp, payload }) => ({
          type,
          streamId,
          timestamp,
          payload,
        }));
        deepStrictEqual(read(pieces(bytes, cuts)), expected);
      },
    ),
    { numRuns: 300 },
  );
});

void t.test('bytes written are counted, and payloads are not copied', async (t) => {
  const payload = Buffer.alloc(10_000, 7);
  const parts: Buffer[] = [];
  const writer = new ChunkWriter();
  writer.chunkSize = 4096;
  const count = writer.write({ write: (bytes) => parts.push(bytes) }, 6, MESSAGE.video, 1, 0x1000000, payload);
  t.equal(count, Buffer.concat(parts).length);
  for (const part of parts.filter((part) => part.length > 16)) t.equal(part.buffer, payload.buffer);
});

void t.test('arbitrary bytes are read as messages, or cause an RtmpError', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 10 }), (chunks) => {
      try {
        read(chunks.map((chunk) => Buffer.from(chunk)));
      } catch (error) {
        if (!(error instanceof RtmpError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

void t.test('headers of all types refer to the previous one (RTMP 1.0, 5.3.2)', async (t) => {
  // The specification's first example: four audio messages, 20 ms apart, as types 0, 2, 3 and 3.
  const audio = (head: string): Buffer => Buffer.concat([hex(head), Buffer.alloc(32)]);
  const messages = read([audio('03 0003e8 000020 08 39300000'), audio('83 000014'), audio('c3'), audio('c3')]);
  t.same(
    messages.map(({ timestamp, streamId, type }) => [timestamp, streamId, type]),
    [1000, 1020, 1040, 1060].map((time) => [time, 12345, 8]),
  );

  // The second: one message of 307 bytes in three chunks.
  const [video] = read([
    hex('04 0003e8 000133 09 3a300000'),
    Buffer.alloc(128, 1),
    hex('c4'),
    Buffer.alloc(128, 2),
    hex('c4'),
    Buffer.alloc(51, 3),
  ]);
  t.same([video!.timestamp, video!.streamId, video!.payload.length, video!.payload[306]], [1000, 12346, 307, 3]);

  const lengths = read([audio('03 000001 000020 08 01000000'), hex('43 000002 000001 09 aa')]);
  t.same(
    lengths.map(({ timestamp, type, payload }) => [timestamp, type, payload.length]),
    [
      [1, 8, 32],
      [3, 9, 1],
    ],
  );
});

void t.test('chunk stream ids of two and three bytes', async (t) => {
  for (const id of ['00 00', '00 ff', '01 0000', '01 ffff']) {
    const continued = id.startsWith('00') ? `c0${id.slice(2)}` : `c1${id.slice(2)}`;
    const messages = read([hex(`${id} 000005 000001 08 01000000 aa`), hex(`${continued} bb`)]);
    t.same(
      messages.map(({ timestamp, payload }) => [timestamp, payload[0]]),
      [
        [5, 0xaa],
        [10, 0xbb],
      ],
      id,
    );
  }
  t.equal(
    read([hex('00 06 000005 000001 08 01000000 aa'), hex('c1 0600 bb')]).length,
    2,
    '70 in two bytes and in three',
  );
});

void t.test('chunk streams interleave, and an aborted message is discarded', async (t) => {
  const begin = (id: string, fill: number): Buffer =>
    Buffer.concat([hex(`${id} 000000 000081 08 01000000`), Buffer.alloc(128, fill)]);
  const abort = hex('02 000000 000004 02 00000000 00000004');
  const messages = read([begin('03', 1), begin('04', 2), hex('c3 01'), abort, begin('04', 3), hex('c4 03')]);
  t.same(
    messages.map(({ payload }) => payload[0]),
    [1, 3],
  );
});

void t.test('an extended timestamp is repeated in every chunk of its message', async (t) => {
  const writer = new ChunkWriter();
  const bytes = written((sink) => writer.write(sink, 6, MESSAGE.video, 1, 0x01020304, Buffer.alloc(129)));
  t.equal(bytes.subarray(0, 16).toString('hex'), '06' + 'ffffff' + '000081' + '09' + '01000000' + '01020304');
  t.equal(bytes.subarray(144, 150).toString('hex'), 'c6' + '01020304' + '00');
});

void t.test('invalid chunks are refused', async (t) => {
  const refused = (bytes: Buffer, why: string): void => void t.throws(() => read([bytes]), { code: 'protocol' }, why);
  refused(hex('c3'), 'a continuation of nothing');
  refused(hex('43 000000 000001 08 00'), 'a difference to nothing');
  refused(hex('03 000000 ffffff 08 00000000'), 'a message of 16 MB');
  refused(hex('02 000000 000004 01 00000000 00000000'), 'chunks of no bytes');
  refused(hex('02 000000 000004 01 00000000 80000000'), 'a chunk size with the first bit set');
  refused(hex('02 000000 000000 01 00000000'), 'no chunk size');
  refused(
    Buffer.concat([hex('03 000000 000100 08 00000000'), Buffer.alloc(128), hex('03 000000 000100 08 00000000')]),
    'a message inside a message',
  );
  refused(
    Buffer.concat(
      Array.from({ length: 62 }, (_, id) =>
        Buffer.concat([Buffer.from([id + 2]), hex('000000 010000 08 00000000'), Buffer.alloc(128)]),
      ),
    ),
    'much memory in small pieces',
  );
  refused(
    hex(
      '03 000000 000010 08 00000000' +
        '00'.repeat(16) +
        '02 000000 000004 02 00000000 00000003' +
        '03 000000 100001 08 00000000',
    ),
    'too long a message behind one that is aborted after its end',
  );
  refused(
    Buffer.concat(
      Array.from({ length: 100 }, (_, id) => Buffer.concat([Buffer.from([0, id]), hex('000000 000000 08 00000000')])),
    ),
    'a hundred chunk streams',
  );
});
