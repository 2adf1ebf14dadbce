import fc from 'fast-check';
import t from 'tap';
import { Av1Depacketizer } from '../../../../src/media/rtp/av1.ts';
import { Vp8Depacketizer } from '../../../../src/media/rtp/vp8.ts';
import { Vp9Depacketizer } from '../../../../src/media/rtp/vp9.ts';
import { rtpPacket } from '../../../helpers/rtp.ts';

/** First bytes that each parser accepts, so that random bytes get further into it. */
const CASES = [
  { name: 'VP8', make: () => new Vp8Depacketizer(), first: [0x00, 0x10, 0x80, 0x90, 0x9f] },
  { name: 'VP9', make: () => new Vp9Depacketizer(), first: [0x0c, 0x08, 0x04, 0x8e, 0xfe, 0x2e, 0xdc] },
  { name: 'AV1', make: () => new Av1Depacketizer(), first: [0x00, 0x10, 0x20, 0x30, 0x40, 0x80, 0xc0, 0x90] },
];

for (const { name, make, first } of CASES) {
  t.test(`${name}: no bytes make it throw, and a key frame is never corrupted`, async (t) => {
    const payload = fc
      .tuple(fc.constantFrom(...first), fc.uint8Array({ maxLength: 40 }))
      .map(([byte, rest]) => Buffer.from([byte, ...rest]));
    const step = fc.record({
      payload,
      marker: fc.boolean(),
      timestamp: fc.nat({ max: 3 }),
      lost: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const depacketizer = make();
        for (const { payload, marker, timestamp, lost } of steps) {
          if (lost === 5) depacketizer.packetLost();
          for (const frame of depacketizer.push(rtpPacket({ payload, marker, timestamp }))) {
            if (frame.data.length === 0 || (frame.keyFrame && frame.corrupted)) return false;
            if (frame.width !== undefined && !Number.isInteger(frame.width)) return false;
          }
        }
        return true;
      }),
      { numRuns: 1000 },
    );
  });
}
