import t from 'tap';
import { PlainAudioFrames } from '../../../src/renditions/plain-audio-frames.ts';

t.test('G.711 is cut into frames of 20 ms, for tags of any length', async (t) => {
  const sound = Buffer.from(Array.from({ length: 480 }, (_, index) => index & 0xff));
  for (const bytes of [1, 100, 160, 300]) {
    const frames = new PlainAudioFrames('pcmu');
    const bodies: Buffer[] = [];
    for (let at = 0; at < sound.length; at += bytes)
      bodies.push(...frames.push(Buffer.concat([Buffer.of(0x82), sound.subarray(at, at + bytes)])));
    t.strictSame(
      bodies.map(({ length }) => length),
      [161, 161, 161],
    );
    t.strictSame(Buffer.concat(bodies.map((body) => body.subarray(1))), sound);
  }
});
