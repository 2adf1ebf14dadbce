import t from 'tap';
import { decodeAmf0, encodeAmf0 } from '../../../src/media/amf0.ts';
import { ChunkReader } from '../../../src/rtmp/chunk-reader.ts';
import { ChunkWriter } from '../../../src/rtmp/chunk-writer.ts';
import { mediaChunks } from '../../../src/rtmp/media-chunks.ts';
import { MESSAGE, uint32, type RtmpMessage } from '../../../src/rtmp/message.ts';

const CHUNK_SIZE = 4096;

/** What a peer that knows the chunk size reads. */
function read(pieces: readonly Buffer[]): RtmpMessage[] {
  const messages: RtmpMessage[] = [];
  const reader = new ChunkReader((message) => messages.push(message));
  new ChunkWriter().write({ write: (bytes) => reader.push(bytes) }, 2, MESSAGE.setChunkSize, 0, 0, uint32(CHUNK_SIZE));
  for (const piece of pieces) reader.push(piece);
  return messages;
}

t.test('small groups are sent in one piece', async (t) => {
  const video = Buffer.alloc(10_000, 7);
  const audio = Buffer.alloc(300, 8);
  const { pieces, bytes } = mediaChunks(
    [
      { type: MESSAGE.audio, timestamp: 0x1000000, data: audio },
      { type: MESSAGE.video, timestamp: 5, data: video },
    ],
    3,
    CHUNK_SIZE,
  );
  t.equal(pieces.length, 1);
  t.equal(pieces[0]!.length, bytes);
  t.strictSame(read(pieces), [
    { type: MESSAGE.audio, streamId: 3, timestamp: 0x1000000, payload: audio },
    { type: MESSAGE.video, streamId: 3, timestamp: 5, payload: video },
  ]);
});

t.test('large groups are not copied', async (t) => {
  const video = Buffer.alloc(100_000, 7);
  const { pieces, bytes } = mediaChunks([{ type: MESSAGE.video, timestamp: 40, data: video }], 1, CHUNK_SIZE);
  t.equal(Buffer.concat(pieces).length, bytes);
  for (const piece of pieces.filter(({ length }) => length > 16)) t.equal(piece.buffer, video.buffer);
  t.strictSame(read(pieces), [{ type: MESSAGE.video, streamId: 1, timestamp: 40, payload: video }]);
});

t.test('metadata is sent in a form that servers keep', async (t) => {
  const { pieces } = mediaChunks(
    [{ type: MESSAGE.data, timestamp: 0, data: encodeAmf0('onMetaData', { width: 640 }) }],
    1,
    CHUNK_SIZE,
  );
  const messages = read(pieces);
  t.equal(messages.length, 1);
  t.same(decodeAmf0(messages[0]!.payload), ['@setDataFrame', 'onMetaData', { width: 640 }]);
});
