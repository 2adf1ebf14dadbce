import t from 'tap';
import { Vp8Depacketizer } from '../../../../src/media/rtp/vp8.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

// A frame tag with the key frame bit clear (0 means key), the start code, 640 × 360 with scaling bits set.
const KEY = Buffer.from('1001009d012a8042684111', 'hex');
const INTER = Buffer.from('110100aabb', 'hex');
const start = (frame: Buffer): Buffer => Buffer.concat([Buffer.of(0x10), frame]);
const more = (bytes: Buffer): Buffer => Buffer.concat([Buffer.of(0x00), bytes]);

function push(depacketizer: Vp8Depacketizer, timestamp: number, ...payloads: Buffer[]) {
  return payloads.flatMap((payload, index) =>
    depacketizer.push(rtpPacket({ timestamp, payload, marker: index === payloads.length - 1 })),
  );
}

t.test('frames of one packet and of several packets, with their size', async (t) => {
  const depacketizer = new Vp8Depacketizer();
  t.same(push(depacketizer, 1, start(KEY.subarray(0, 4)), more(KEY.subarray(4))), [
    { timestamp: 1, corrupted: false, keyFrame: true, width: 640, height: 360, data: KEY },
  ]);
  t.same(push(depacketizer, 2, start(INTER)), [{ timestamp: 2, corrupted: false, keyFrame: false, data: INTER }]);
});

t.test('all forms of the descriptor', async (t) => {
  const forms: Record<string, string> = {
    'no extension': '10',
    'extension without fields': '9000',
    'frame id of 7 bits': '90807f',
    'frame id of 15 bits': '9080ffff',
    TL0PICIDX: '904055',
    TID: '902055',
    KEYIDX: '901055',
    everything: '90f0ffff55aa',
    'not a reference': '30',
  };
  for (const [name, descriptor] of Object.entries(forms))
    t.match(
      push(new Vp8Depacketizer(), 1, Buffer.concat([Buffer.from(descriptor, 'hex'), KEY])),
      [{ keyFrame: true, data: KEY }],
      name,
    );
});

t.test('the start of a later partition does not begin a frame', async (t) => {
  const depacketizer = new Vp8Depacketizer();
  t.match(push(depacketizer, 1, start(KEY), Buffer.concat([Buffer.of(0x11), INTER])), [
    { data: Buffer.concat([KEY, INTER]) },
  ]);
});

t.test('a loss damages its frame; the ones after it are corrupted until the next key frame', async (t) => {
  const depacketizer = new Vp8Depacketizer();
  push(depacketizer, 1, start(KEY));
  depacketizer.push(rtpPacket({ timestamp: 2, payload: start(INTER) }));
  depacketizer.packetLost();
  t.same(push(depacketizer, 2, more(INTER)), []);
  t.match(push(depacketizer, 3, start(INTER)), [{ corrupted: true }]);
  depacketizer.packetLost();
  t.same(push(depacketizer, 4, more(INTER)), [], 'its beginning is missing');
  t.equal(depacketizer.damagedFrames, 2);
  t.match(push(depacketizer, 5, start(KEY)), [{ corrupted: false }]);
});

t.test('data that is not VP8 is dropped', async (t) => {
  for (const payload of ['10', '90', '9080', '90f0ffff55', '10' + '00', '1000000011223344556677'])
    t.same(push(new Vp8Depacketizer(), 1, Buffer.from(payload, 'hex')), [], payload);
});

t.test('a marker on each packet, or only on the first', async (t) => {
  for (const marked of [
    [true, true],
    [true, false],
  ]) {
    const depacketizer = new Vp8Depacketizer({ provesMarkers: true });
    const frames = [1, 2, 3].flatMap((timestamp) =>
      [start(KEY.subarray(0, 4)), more(KEY.subarray(4))].flatMap((payload, index) =>
        depacketizer.push(rtpPacket({ timestamp, payload, marker: marked[index]! })),
      ),
    );
    frames.push(...depacketizer.flush());
    t.match(
      frames,
      [1, 2, 3].map((timestamp) => ({ timestamp, data: KEY, corrupted: false })),
    );
  }
});

t.test('frames with one timestamp', async (t) => {
  const depacketizer = new Vp8Depacketizer();
  t.match(push(depacketizer, 1, start(KEY)), [{ data: KEY }]);
  t.match(push(depacketizer, 1, start(INTER)), [{ data: INTER, corrupted: false }]);
});
