import t from 'tap';
import { PlatformCatalogue } from '../../../../../src/outputs/push/platforms/catalogue.ts';
import { createComplianceJudge } from '../../../../../src/outputs/push/platforms/compliance-judge.ts';
import { measured } from '../../../../helpers/measured.ts';

const catalogue = PlatformCatalogue.create();
const judgeOf = (id: string) => createComplianceJudge(catalogue.find(id)!);

t.test('what re-encoding mends is told, what it does not mend is not', async (t) => {
  for (const [id, measure, broken] of [
    ['twitch', measured(), []],
    ['twitch', measured({ keyFrameIntervalMs: 4000, bitrate: 7000 }), ['keyFrameInterval', 'videoBitrate']],
    ['twitch', measured({ width: 2560, height: 1440, profile: 100 }), ['videoSize', 'videoProfile']],
    ['linkedin', measured({ frameRate: 60 }), ['frameRate']],
    ['millicast', measured({ keyFrameIntervalMs: 1000, bFrames: true }), ['bFrames']],
    ['facebook', measured({ level: 52 }), ['videoLevel']],
    ['youtube', measured({ bitrate: 300 }), []],
    ['facebook', measured({}, { bitrate: 400, channels: 6, sampleRate: 8000 }), []],
    ['instagram', measured({}, { sampleRate: 44_100 }), []],
    ['facebook', { windowMs: 10_000 }, []],
  ] as const)
    t.strictSame([...judgeOf(id).broken(measure)].sort(), [...broken].sort(), `${id} ${JSON.stringify(measure)}`);
});

t.test('the encoding keeps the rules that were broken, and the shape of the frame', async (t) => {
  for (const [id, measure, encoding] of [
    ['twitch', measured({ frameRate: 29.6 }), { height: 720, fps: 30, keyFrameInterval: 60, bitrate: 2500 }],
    [
      'twitch',
      measured({ width: 3840, height: 2160, frameRate: 59.9 }),
      { height: 1080, fps: 60, keyFrameInterval: 120, bitrate: 5700 },
    ],
    ['twitch', measured({ width: 1440, height: 2560 }), { height: 1920, fps: 30, keyFrameInterval: 60, bitrate: 4500 }],
    ['linkedin', measured({ frameRate: 60 }), { height: 720, fps: 30, keyFrameInterval: 60, bitrate: 2500 }],
    ['chzzk', measured({ frameRate: 24.9 }), { height: 720, fps: 25, keyFrameInterval: 25, bitrate: 2500 }],
    ['vimeo', measured({ width: 1280, height: 720 }), { height: 720, fps: 30, keyFrameInterval: 60, bitrate: 2375 }],
  ] as const) {
    t.strictSame(judgeOf(id).encoding(measure), encoding, `${id} ${JSON.stringify(measure.video)}`);
    const { height, width } = measure.video!;
    const scale = encoding.height / height;
    const mended = measured({
      ...encoding,
      width: Math.round(width * scale),
      frameRate: encoding.fps,
      keyFrameIntervalMs: (encoding.keyFrameInterval * 1000) / encoding.fps,
      profile: 77,
    });
    t.strictSame(judgeOf(id).broken(mended), [], 'it keeps all rules');
  }
  t.equal(judgeOf('twitch').encoding(measured({ width: 0, height: 0 })), undefined);
  t.equal(judgeOf('twitch').encoding({ windowMs: 10_000 }), undefined);
});
