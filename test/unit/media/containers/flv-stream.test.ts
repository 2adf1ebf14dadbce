import fc from 'fast-check';
import t from 'tap';
import { audioFrame, audioTagHeader, silentG711 } from '../../../../src/media/containers/audio-tag.ts';
import { FlvError, FlvReader } from '../../../../src/media/containers/flv-reader.ts';
import {
  flvTag,
  TAG_AUDIO,
  TAG_SCRIPT,
  TAG_VIDEO,
  type FlvTag,
  type TagType,
} from '../../../../src/media/containers/flv-tag.ts';
import { flvHeader, flvTagParts } from '../../../../src/media/containers/flv-writer.ts';
import { encodeFlvTag } from '../../../helpers/flv-tags.ts';

const tag = (type: TagType, timestamp: number, hex: string): FlvTag => flvTag(type, timestamp, Buffer.from(hex, 'hex'));

t.test('the flags of a tag are read from its body', async (t) => {
  const cases: Array<[TagType, string, boolean, boolean]> = [
    [TAG_VIDEO, '1700000000', false, true],
    [TAG_VIDEO, '1701000000', true, false],
    [TAG_VIDEO, '2701000000', false, false],
    [TAG_VIDEO, '1702000000', false, false],
    [TAG_VIDEO, '1200', true, false],
    [TAG_VIDEO, '', false, false],
    [TAG_AUDIO, 'af001190', false, true],
    [TAG_AUDIO, 'af0121', false, false],
    [TAG_AUDIO, '7200', false, false],
    [TAG_SCRIPT, '0200', false, false],
  ];
  for (const [type, body, keyFrame, sequenceHeader] of cases)
    t.match(tag(type, 0, body), { keyFrame, sequenceHeader }, `${type} ${body}`);
});

t.test('file header', async (t) => {
  t.equal(flvHeader({ audio: true, video: true }).toString('hex'), '464c5601050000000900000000');
  t.equal(flvHeader({ audio: false, video: true })[4], 1);
});

t.test('the bytes of a tag, its timestamp extended beyond 24 bits', async (t) => {
  t.equal(
    encodeFlvTag(tag(TAG_AUDIO, 0x01020304, 'af0121')).toString('hex'),
    '08000003' + '02030401' + '000000' + 'af0121' + '0000000e',
  );
  t.equal(flvTagParts(tag(TAG_VIDEO, 5000, ''), 40.4).head.toString('hex'), '09000000' + '00002800' + '000000');
});

t.test('a round trip in chunks of any size, with timestamps of 32 bits and empty bodies', async (t) => {
  const someTag = fc.record({
    type: fc.constantFrom<TagType>(TAG_AUDIO, TAG_VIDEO, TAG_SCRIPT),
    timestamp: fc.oneof(fc.nat(), fc.integer({ min: 2 ** 24 - 5, max: 2 ** 32 - 1 })),
    data: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  });
  fc.assert(
    fc.property(fc.array(someTag, { maxLength: 10 }), fc.integer({ min: 1, max: 50 }), (fields, step) => {
      const tags = fields.map(({ type, timestamp, data }) => flvTag(type, timestamp, data));
      const stream = Buffer.concat([flvHeader({ audio: true, video: true }), ...tags.map(encodeFlvTag)]);
      const reader = new FlvReader();
      const read: FlvTag[] = [];
      for (let offset = 0; offset < stream.length; offset += step)
        read.push(...reader.push(stream.subarray(offset, offset + step)));
      t.same(read, tags);
    }),
  );
});

t.test('a body within a chunk is not copied', async (t) => {
  const chunk = Buffer.concat([flvHeader({ audio: true, video: true }), encodeFlvTag(tag(TAG_AUDIO, 0, 'af0121'))]);
  const [read] = new FlvReader().push(chunk);
  t.equal(read!.data.buffer, chunk.buffer);
});

t.test('refuses bytes that are not FLV', async (t) => {
  const head = flvHeader({ audio: true, video: true });
  t.throws(() => new FlvReader().push(Buffer.from('this is no FLV stream')), FlvError);
  t.throws(() => new FlvReader().push(Buffer.from('464c560105ffffffff00000000', 'hex')), FlvError);
  t.throws(
    () => new FlvReader().push(Buffer.concat([head, Buffer.from('0a000001000000000000ff', 'hex')])),
    /tag type 10/,
  );
  t.throws(() => new FlvReader().push(Buffer.concat([head, Buffer.from('09ffffff00000000000000', 'hex')])), /too long/);
});

t.test('any bytes give tags or an FlvError', async (t) => {
  const stream = fc
    .tuple(fc.boolean(), fc.array(fc.uint8Array({ maxLength: 40 })))
    .map(([valid, pieces]) => [
      ...(valid ? [flvHeader({ audio: true, video: true })] : []),
      ...pieces.map((piece) => Buffer.from(piece)),
    ]);
  fc.assert(
    fc.property(stream, (pieces) => {
      const reader = new FlvReader();
      try {
        for (const piece of pieces) reader.push(piece);
        return true;
      } catch (error) {
        return error instanceof FlvError;
      }
    }),
    { numRuns: 500 },
  );
});

t.test('audio tag headers and silence of G.711', async (t) => {
  t.same((['aac', 'pcma', 'pcmu', 'speex'] as const).map(audioTagHeader), [0xaf, 0x72, 0x82, 0xb6]);
  t.equal(audioFrame('pcmu', silentG711('pcmu', 3)).toString('hex'), '82ffffff');
  t.equal(audioFrame('pcma', silentG711('pcma', 2)).toString('hex'), '72d5d5');
});
