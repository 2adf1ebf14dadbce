import fc from 'fast-check';
import t from 'tap';
import { ivfFrameHeader, ivfFrames, ivfHeader } from '../../../../src/media/containers/ivf.ts';
import { oggOpusPackets, OggOpusWriter } from '../../../../src/media/containers/ogg-opus.ts';
import { opusPacketSamples, opusSilence } from '../../../../src/media/codecs/opus-packet.ts';

t.test('IVF headers', async (t) => {
  t.equal(
    ivfHeader({ fourcc: 'VP80', width: 640, height: 360, timebase: [1, 1000] }).toString('hex'),
    '444b494600002000' + '56503830' + '80026801' + 'e8030000' + '01000000' + '00000000' + '00000000',
  );
  t.equal(
    ivfHeader({ fourcc: 'VP90', width: 65_536, height: 65_536, timebase: [1, 1000] }).readUInt32LE(12),
    0xffffffff,
    'the largest frame of VP9',
  );
  t.equal(ivfFrameHeader(0x1234, 2 ** 32 + 5).toString('hex'), '34120000' + '05000000' + '01000000');
});

t.test('the length of an Opus packet, by its first bytes', async (t) => {
  const cases: Array<[string, number]> = [
    ['', 0],
    ['00', 480], // SILK 10 ms
    ['18', 2880], // SILK 60 ms
    ['60', 480], // hybrid 10 ms
    ['78', 960], // hybrid 20 ms
    ['80', 120], // CELT 2.5 ms
    ['fc', 960], // CELT 20 ms, stereo
    ['fd', 1920], // two frames
    ['fe', 1920],
    ['ff06', 5760], // six frames of 20 ms: the most there may be
    ['ff07', 0],
    ['ff', 0],
    ['ff00', 0],
    ['1b02', 5760],
    ['1b03', 0],
  ];
  for (const [hex, samples] of cases) t.equal(opusPacketSamples(Buffer.from(hex, 'hex')), samples, hex);
});

t.test('Opus silence fills any length up to 2.5 ms', async (t) => {
  fc.assert(
    fc.property(fc.nat({ max: 200_000 }), (samples) => {
      const packets = opusSilence(samples);
      const filled = packets.reduce((sum, packet) => sum + opusPacketSamples(packet), 0);
      return filled <= samples && samples - filled < 120 && packets.length <= samples / 960 + 3;
    }),
  );
  t.same(opusSilence(-5), []);
});

t.test('Ogg pages: lacing at the multiples of 255, sequence, granule of 64 bits', async (t) => {
  for (const [length, lacing] of [
    [0, '00'],
    [254, 'fe'],
    [255, 'ff00'],
    [256, 'ff01'],
    [510, 'ffff00'],
  ] as const) {
    const ogg = new OggOpusWriter(7);
    ogg.header(2);
    const packet = Buffer.alloc(length, 1);
    const page = ogg.page([packet, Buffer.of(2)], 2 ** 32 + 960);
    t.equal(page.toString('hex', 0, 22), '4f676753' + '0000' + 'c003000001000000' + '07000000' + '02000000');
    t.equal(
      page.toString('hex', 26),
      (lacing.length / 2 + 1).toString(16).padStart(2, '0') + lacing + '01' + '01'.repeat(length) + '02',
    );
  }
  t.doesNotThrow(() => new OggOpusWriter().page([Buffer.alloc(255 * 254 - 1), Buffer.alloc(254)], 0));
  t.throws(() => new OggOpusWriter().page([Buffer.alloc(255 * 254 - 1), Buffer.alloc(255)], 0), RangeError);
});

t.test('what is written as IVF and as Ogg is read again', async (t) => {
  const frames = [Buffer.from('first'), Buffer.alloc(0), Buffer.alloc(1000, 7)];
  const ivf = Buffer.concat([
    ivfHeader({ fourcc: 'VP90', width: 16, height: 16, timebase: [1, 1000] }),
    ...frames.flatMap((frame, index) => [ivfFrameHeader(frame.length, index), frame]),
  ]);
  t.strictSame(ivfFrames(ivf), frames);
  t.strictSame(ivfFrames(ivf.subarray(0, -1)), frames.slice(0, 2), 'a frame that is cut off is left out');
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(40)]) t.throws(() => ivfFrames(bytes), RangeError);

  const packets = [Buffer.alloc(3, 1), Buffer.alloc(255, 2), Buffer.alloc(600, 3), Buffer.alloc(510, 4)];
  const writer = new OggOpusWriter();
  const ogg = Buffer.concat([
    writer.header(2),
    writer.page(packets.slice(0, 3), 2880),
    writer.page([packets[3]!], 3840),
  ]);
  t.strictSame(oggOpusPackets(ogg), packets);
  for (const bytes of [ogg.subarray(1), ogg.subarray(0, -1), ogg.subarray(0, 20)])
    t.throws(() => oggOpusPackets(bytes), RangeError);
});
