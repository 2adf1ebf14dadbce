import t from 'tap';
import { rtmpPreset, pushFlv, toH264 } from '../../../src/ffmpeg/ffmpeg-args.ts';
import { FfmpegProgressReader } from '../../../src/ffmpeg/ffmpeg-progress.ts';
import { restartDelay } from '../../../src/ffmpeg/supervised-ffmpeg.ts';

t.test('the delay between restarts doubles, and restarts end', async (t) => {
  t.strictSame(
    [1, 2, 3, 4].map((count) => restartDelay(Array<number>(count).fill(1000), 1000)),
    [50, 100, 200, 400],
  );
  t.equal(restartDelay([1, 2, 3, 4, 5], 10), undefined, 'no further restart');
  t.equal(restartDelay([1, 2, 3, 4, 100_000], 100_000), 50, 'old deaths do not count');
});

t.test('progress is read across chunks', async (t) => {
  const reader = new FfmpegProgressReader();
  t.equal(reader.push(Buffer.from('frame=1\ntotal_size=N/A\nprogress=contin')), undefined);
  t.strictSame(reader.push(Buffer.from('ue\n')), { totalSize: 0, frame: 1 });
  t.strictSame(
    reader.push(Buffer.from('frame=30\ntotal_size=409\nprogress=continue\nframe=60\ntotal_size=800\nprogress=end\n')),
    { totalSize: 800, frame: 60 },
  );
});

t.test('the arguments of a push contain no secret', async (t) => {
  const line = pushFlv({
    server: 'rtmp://127.0.0.1:1935/',
    presetFile: '/tmp/p',
    timeoutMs: 10_000,
    reportIntervalMs: 500,
  });
  const preset = rtmpPreset({
    app: 'live?user=u&pass=p',
    streamName: 'key?a=1',
    tcUrl: 'rtmp://h/live?user=u&pass=p',
    flashVersion: 'FMLE/3.0',
  });
  t.match(preset, 'rtmp_app=live?user=u&pass=p\n');
  t.match(preset, 'rtmp_playpath=key?a=1\n');
  t.notMatch([...line.inputOptions, ...line.outputOptions, line.output].join(' '), /pass|key\?/);
});

t.test('the key frame interval is fixed only if one is requested, or a frame rate', async (t) => {
  const options = (extra: object): string =>
    toH264(
      'flv',
      { width: 640, height: 360, stretch: false, rate: 30, bitrate: 800, ...extra },
      1_000_000,
    ).outputOptions.join(' ');
  t.match(options({}), '-force_key_frames source');
  t.match(options({ keyFrameInterval: 60 }), '-g 60 -keyint_min 60');
  t.match(options({ fps: 25 }), '-g 50');
  t.match(options({ fps: 25 }), 'fps=25');
});
