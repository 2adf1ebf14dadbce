import t from 'tap';
import {
  asksForTranscoding,
  bitrateForHeight,
  encodeProfile,
  encoderRate,
  exceedsRate,
  videoKey,
  videoOutput,
} from '../../../src/renditions/encode-profile.ts';
import { shownSize } from '../../../src/renditions/shown-size.ts';

t.test('requests that need transcoding (WCS documentation, "Stream transcoding while republishing")', async (t) => {
  const asks = (wish: Parameters<typeof encodeProfile>[0], preserve = true): boolean =>
    asksForTranscoding(encodeProfile(wish, preserve, 'aac'));
  t.notOk(asks({}));
  t.notOk(asks({ width: 0, height: 0 }));
  t.notOk(asks({ width: 1280 }), 'width alone does not apply');
  t.notOk(asks({ width: 1280 }, false));
  t.notOk(asks({ width: 1280, height: 0 }, false));
  t.ok(asks({ height: 720 }));
  t.ok(asks({ fps: 30 }));
  t.ok(asks({ keyFrameInterval: 60 }));
});

t.test('width applies only with height, and if the aspect ratio is not kept', async (t) => {
  t.equal(encodeProfile({ width: 1280, height: 720 }, true, 'aac').width, undefined);
  t.equal(encodeProfile({ width: 1280, height: 720 }, false, 'aac').width, 1280);
});

t.test('equal profiles have equal keys', async (t) => {
  const key = (wish: Parameters<typeof encodeProfile>[0]): string => videoKey(encodeProfile(wish, true, 'aac'));
  t.equal(key({ height: 480, width: 100 }), key({ height: 480 }));
  t.equal(key({ height: 479 }), key({ height: 480 }), 'odd heights are made even first');
  t.not(videoKey(encodeProfile({ height: 480, width: 100 }, false, 'aac')), key({ height: 480 }));
  t.not(key({ height: 480 }), key({ fps: 48 }));
  t.not(key({ height: 480, fps: 30 }), key({ height: 480, keyFrameInterval: 30 }));
});

t.test('the canvas', async (t) => {
  const canvas = (
    wish: Parameters<typeof encodeProfile>[0],
    source: { width: number; height: number },
    preserve = true,
  ): string => {
    const { width, height, stretch } = videoOutput(encodeProfile(wish, preserve, 'aac'), source, 0);
    return `${width}x${height}${stretch ? ' stretched' : ''}`;
  };
  t.equal(canvas({ height: 480 }, { width: 1280, height: 720 }), '854x480');
  t.equal(canvas({ height: 720 }, { width: 640, height: 480 }), '960x720', 'enlarged, for servers that require 720p');
  t.equal(canvas({ fps: 30 }, { width: 641, height: 361 }), '642x362', 'even sides');
  t.equal(canvas({ height: 480 }, { width: 720, height: 1280 }), '270x480', 'portrait');
  t.equal(canvas({ height: 2 }, { width: 2, height: 1080 }), '2x2');
  t.equal(canvas({ height: 720, width: 1280 }, { width: 640, height: 480 }, false), '1280x720 stretched');
});

t.test('the bitrate depends on the height, or is set', async (t) => {
  t.equal(bitrateForHeight(720, 30), 2500);
  t.equal(bitrateForHeight(721, 30), 4500);
  t.equal(bitrateForHeight(720, 60), 3750);
  t.equal(bitrateForHeight(4320, 30), 18_000);
  t.equal(videoOutput({ height: 720, fps: 60, audioCodec: 'aac' }, { width: 640, height: 360 }, 0).bitrate, 3750);
  t.equal(videoOutput(encodeProfile({ height: 480 }, true, 'aac'), { width: 640, height: 480 }, 900).bitrate, 900);
});

t.test('samples that are not square: the canvas has the shape that is shown', async (t) => {
  const cases: readonly (readonly [
    size: [number, number],
    aspect: [number, number],
    height: number,
    canvas: string,
  ])[] = [
    [[720, 576], [16, 11], 480, '874x480'],
    [[720, 576], [12, 11], 480, '656x480'],
    [[720, 480], [10, 11], 480, '654x480'],
    [[720, 480], [40, 33], 360, '654x360'],
    [[1440, 1080], [4, 3], 1080, '1920x1080'],
    [[576, 720], [11, 16], 480, '264x480'],
  ];
  for (const [[width, height], [aspectWidth, aspectHeight], wanted, canvas] of cases) {
    const shown = shownSize({ width, height }, { width: aspectWidth, height: aspectHeight });
    const output = videoOutput(encodeProfile({ height: wanted }, true, 'aac'), shown, 0);
    t.equal(`${output.width}x${output.height}`, canvas);
  }
  const sd = shownSize({ width: 720, height: 576 }, { width: 16, height: 11 });
  t.match(videoOutput(encodeProfile({ fps: 25 }, true, 'aac'), sd, 0), { width: 1048, height: 576 });
  t.match(videoOutput(encodeProfile({ height: 480, width: 640 }, false, 'aac'), sd, 0), { width: 640, stretch: true });
});

t.test('an encoder reckons with a usual rate that is not exceeded', async (t) => {
  t.strictSame(
    [3, 14.9, 15.5, 29.97, 30.5, 33, 50.1, 59.94, 61, 75, 300].map(encoderRate),
    [5, 15, 15, 30, 30, 50, 50, 60, 60, 75, 300],
  );
  t.notOk(exceedsRate(31, 30));
  t.notOk(exceedsRate(10, 30));
  t.ok(exceedsRate(33, 30));
  t.ok(exceedsRate(60, 30));
});
