import t from 'tap';
import { lowestAvcLevel } from '../../../../src/media/codecs/avc-level.ts';

t.test('the lowest level that size, rate and bitrate need (H.264, table A-1)', async (t) => {
  const cases: readonly (readonly [width: number, height: number, fps: number, bitrate: number, level: number])[] = [
    [176, 144, 15, 64, 10],
    [176, 144, 15, 400, 13],
    [176, 144, 30, 192, 11],
    [320, 240, 30, 400, 13],
    [640, 360, 15, 800, 22],
    [640, 360, 30, 800, 30],
    [720, 576, 25, 1200, 30],
    [854, 480, 30, 1200, 31],
    [1280, 720, 30, 2500, 31],
    [1280, 720, 60, 3750, 32],
    [720, 1280, 30, 2500, 31],
    [1280, 720, 30, 14_001, 32],
    [1280, 720, 30, 21_000, 41],
    [1920, 1080, 30, 4500, 40],
    [1920, 1080, 60, 6750, 42],
    [1080, 1920, 30, 4500, 40],
    [3840, 2160, 30, 18_000, 51],
    [3840, 2160, 60, 27_000, 52],
    [4096, 2304, 30, 18_000, 52],
    [7680, 4320, 60, 80_000, 61],
  ];
  for (const [width, height, fps, bitrate, level] of cases)
    t.equal(lowestAvcLevel({ width, height, fps, bitrate }), level, `${width}x${height} at ${fps}, ${bitrate} kbit/s`);
});

t.test('sides, stored frames and the buffer count too', async (t) => {
  const needs = { width: 1280, height: 720, fps: 30, bitrate: 2500 };
  t.equal(lowestAvcLevel({ ...needs, storedFrames: 5 }), 31);
  t.equal(lowestAvcLevel({ ...needs, storedFrames: 6 }), 40);
  t.equal(lowestAvcLevel({ ...needs, buffer: 21_000 }), 40);
  t.equal(lowestAvcLevel({ ...needs, width: 2880, height: 16 }), 32, 'a side of 180 macroblocks');
  t.equal(lowestAvcLevel({ width: 16_384, height: 16_384, fps: 240, bitrate: 1 }), 62);
});
