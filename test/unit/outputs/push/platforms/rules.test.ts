import t from 'tap';
import type { StreamMeasure } from '../../../../../src/media/stream-meter.ts';
import { PlatformCatalogue } from '../../../../../src/outputs/push/platforms/catalogue.ts';
import { withFacts } from '../../../../../src/outputs/push/platforms/describe-stream.ts';
import { judge } from '../../../../../src/outputs/push/platforms/rules.ts';
import { judgeSession } from '../../../../../src/outputs/push/platforms/session-limit.ts';
import { measured } from '../../../../helpers/measured.ts';

const catalogue = PlatformCatalogue.create();
const broken = (id: string, measure: StreamMeasure, transport: 'rtmp' | 'rtmps' = 'rtmps') =>
  judge(catalogue.find(id)!, { measure, transport }).filter(({ level }) => level !== 'ok');

t.test('a stream that keeps all rules has none broken', async (t) => {
  for (const id of ['youtube', 'twitch', 'facebook', 'ivs', 'kick', 'mux', 'trovo', 'x', 'cloudflare'])
    t.strictSame(broken(id, measured()), [], id);
});

t.test('each rule is broken in turn, with the values and a remedy', async (t) => {
  const { windowMs, video, audio } = measured();
  const silent = { windowMs, video: video! };
  const blind = { windowMs, audio: audio! };
  for (const [id, measure, check, level, seen, rule] of [
    [
      'youtube',
      measured({ keyFrameIntervalMs: 2600 }),
      'keyFrameInterval',
      'warning',
      '2.6 s',
      'at most 2 s (recommended)',
    ],
    ['youtube', measured({ keyFrameIntervalMs: 4100 }), 'keyFrameInterval', 'error', '4.1 s', 'at most 4 s (hard)'],
    [
      'chzzk',
      measured({ keyFrameIntervalMs: 2000 }),
      'keyFrameInterval',
      'warning',
      '2.0 s',
      'at most 1 s (recommended)',
    ],
    [
      'cloudflare',
      measured({ keyFrameIntervalMs: 1000 }),
      'keyFrameInterval',
      'warning',
      '1.0 s',
      '2 to 8 s (recommended)',
    ],
    [
      'twitch',
      measured({ bitrate: 6700, peakBitrate: 9000 }),
      'videoBitrate',
      'warning',
      '6700 kbit/s (peak 9000)',
      'at most 6000 kbit/s (recommended)',
    ],
    [
      'ivs',
      measured({ bitrate: 8501, peakBitrate: 8501 }),
      'videoBitrate',
      'error',
      '8501 kbit/s',
      'at most 8500 kbit/s (hard)',
    ],
    [
      'youtube',
      measured({ bitrate: 1000, peakBitrate: 1000 }),
      'videoBitrate',
      'warning',
      '1000 kbit/s',
      '3000 to 8000 kbit/s (recommended)',
    ],
    [
      'youtube',
      measured({ width: 1920, height: 1080, frameRate: 60, bitrate: 3500, peakBitrate: 3500 }),
      'videoBitrate',
      'warning',
      '3500 kbit/s',
      '4000 to 12000 kbit/s (recommended)',
    ],
    [
      'facebook',
      measured({ width: 640, height: 360, bitrate: 1500, peakBitrate: 1500 }),
      'videoBitrate',
      'warning',
      '1500 kbit/s',
      '400 to 1000 kbit/s (recommended)',
    ],
    ['linkedin', measured({ frameRate: 60 }), 'frameRate', 'warning', '60.0 fps', 'at most 30 fps (recommended)'],
    [
      'twitch',
      measured({ width: 2560, height: 1440 }),
      'videoSize',
      'warning',
      '2560x1440',
      'at most 1920x1080 (recommended)',
    ],
    ['ivs', measured({ width: 1088, height: 1920 }), 'videoSize', 'error', '1088x1920', 'at most 1920x1080 (hard)'],
    [
      'instagram',
      measured({}, { sampleRate: 44_100 }),
      'orientation',
      'warning',
      'landscape',
      'portrait (recommended)',
    ],
    ['twitch', measured({ profile: 100 }), 'videoProfile', 'warning', 'high', 'baseline or main (recommended)'],
    ['facebook', measured({ level: 51 }), 'videoLevel', 'warning', '5.1', 'at most 4.2 (recommended)'],
    [
      'millicast',
      measured({ bFrames: true, keyFrameIntervalMs: 1000 }),
      'bFrames',
      'warning',
      'B-frames',
      'no B-frames (recommended)',
    ],
    ['facebook', blind, 'video', 'error', 'no video', 'video (hard)'],
    ['facebook', silent, 'audio', 'error', 'no audio', 'audio (hard)'],
    ['facebook', measured({}, { bitrate: 257 }), 'audioBitrate', 'error', '257 kbit/s', 'at most 256 kbit/s (hard)'],
    ['facebook', measured({}, { channels: 6 }), 'audioChannels', 'warning', '6', 'at most 2 (recommended)'],
    [
      'facebook',
      measured({}, { sampleRate: 22_050 }),
      'audioSampleRate',
      'warning',
      '22050 Hz',
      '44100 or 48000 Hz (recommended)',
    ],
    ['twitch', measured({}, { codec: 'pcmu' }), 'audioCodec', 'warning', 'pcmu', 'aac (recommended)'],
    ['twitch', measured({ codec: 'flv codec 12' }), 'videoCodec', 'warning', 'flv codec 12', 'h264 (recommended)'],
  ] as const) {
    const found = broken(id, measure);
    t.match(found, [{ check, level, measured: seen, rule }], `${id} ${check}`);
    t.equal(found.length, 1, `${id} ${check}: no other rule`);
    t.match(found[0], { source: /, checked \d{4}-\d\d-\d\d/, remedy: /\w+/ });
  }
  t.match(broken('facebook', measured(), 'rtmp'), [{ check: 'transport', level: 'error', measured: 'rtmp' }]);
});

t.test('recommendations have a margin, hard limits have none', async (t) => {
  t.strictSame(broken('youtube', measured({ keyFrameIntervalMs: 2400 })), []);
  t.strictSame(broken('twitch', measured({ bitrate: 6500 })), []);
  t.strictSame(broken('ivs', measured({ bitrate: 8500 })), []);
});

t.test('portrait is judged by its sides, sizes below all tiers and unknown ones are not judged', async (t) => {
  t.strictSame(broken('twitch', measured({ width: 1080, height: 1920 })), []);
  t.strictSame(broken('youtube', measured({ width: 320, height: 240, bitrate: 200 })), []);
  t.strictSame(broken('youtube', measured({ width: 0, height: 0, bitrate: 200 })), []);
});

t.test('unconfirmed sources are marked', async (t) => {
  t.match(broken('kick', measured({ keyFrameIntervalMs: 4000 })), [{ source: /unconfirmed$/ }]);
  t.notMatch(broken('twitch', measured({ keyFrameIntervalMs: 4000 }))[0]!.source, 'unconfirmed');
});

t.test('what no rule covers is shown as it was measured', async (t) => {
  const measure = measured();
  const verdicts = withFacts(judge(catalogue.find('x')!, { measure, transport: 'rtmp' }), measure);
  t.match(
    verdicts.find(({ check }) => check === 'videoSize'),
    { level: 'ok', measured: '1280x720', rule: '', source: '', remedy: '' },
  );
  const checks = verdicts.map(({ check }) => check);
  t.equal(new Set(checks).size, checks.length);
});

t.test('sessions are announced an hour before their end', async (t) => {
  const hour = 3_600_000;
  const level = (id: string, ms: number) => judgeSession(catalogue.find(id)!, ms).map((one) => one.level);
  t.strictSame(level('facebook', 7 * hour - 1), ['ok']);
  t.strictSame(level('facebook', 7 * hour), ['error']);
  t.strictSame(level('twitch', 46.9 * hour), ['ok']);
  t.strictSame(level('twitch', 47 * hour), ['error']);
  t.strictSame(level('x', 1000 * hour), []);
});
