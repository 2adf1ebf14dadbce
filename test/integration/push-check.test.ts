import { EventEmitter } from 'node:events';
import t from 'tap';
import platformsFile from '../../config/platforms.json' with { type: 'json' };
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../src/media/containers/tag-group.ts';
import { parseDestination } from '../../src/net/destination.ts';
import { PlatformCatalogue } from '../../src/outputs/push/platforms/catalogue.ts';
import { Preflight } from '../../src/outputs/push/platforms/preflight.ts';
import type { Verdict } from '../../src/views/push-view.ts';
import type { Rendition } from '../../src/renditions/rendition.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { waitFor } from '../helpers/wait.ts';

/** Checks of real encodings, each of which breaks one rule of a platform. */

const catalogue = PlatformCatalogue.create();

interface Stream {
  readonly size?: string;
  readonly fps?: number;
  /** Frames that no encoder can compress, instead of a few moving pixels. */
  readonly noise?: boolean;
  /** ffmpeg's options for the video and the audio, after those of a stream that keeps most rules; the last of a kind counts. */
  readonly video?: readonly string[] | 'none';
  readonly audio?: readonly string[] | 'none';
  readonly transport?: 'rtmp' | 'rtmps';
}

const SECONDS = 6;
/** Sound that no encoder can compress, so that it gets the bitrate that was set. */
const NOISE = 'aevalsrc=random(0)-0.5|random(1)-0.5:s=48000';
const rate = (kbps: number): string[] => ['-b:v', `${kbps}k`, '-maxrate', `${kbps}k`, '-bufsize', `${kbps / 4}k`];

/** Media as a rendition plays it: without the end of the sequence. */
async function encode({ size = '1280x720', fps = 30, noise = false, video = [], audio = [] }: Stream) {
  const picture = `testsrc2=size=${size}:rate=${fps}:duration=${SECONDS}${noise ? ',noise=alls=40:allf=t' : ''}`;
  const file = await ffmpeg([
    ...(video === 'none' ? [] : ['-f', 'lavfi', '-i', picture]),
    ...(audio === 'none' ? [] : ['-f', 'lavfi', '-i', `${NOISE},atrim=end=${SECONDS}`]),
    ...['-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'ultrafast', '-tune', 'zerolatency'],
    ...['-pix_fmt', 'yuv420p', '-g', String(fps), '-sc_threshold', '0', ...(video === 'none' ? ['-vn'] : video)],
    ...['-c:a', 'aac', '-b:a', '96k', '-ac', '2', ...(audio === 'none' ? ['-an'] : audio)],
    ...['-f', 'flv', '-'],
  ]);
  return new FlvReader()
    .push(file)
    .filter(({ type, data }) => type === TAG_AUDIO || (type === TAG_VIDEO && data.length > 5));
}

/** Plays its tags at once. */
class PlayedRendition extends EventEmitter {
  readonly #media: readonly FlvTag[];
  readonly videoHeader: FlvTag | undefined;
  readonly audioHeader: FlvTag | undefined;

  constructor(tags: readonly FlvTag[]) {
    super();
    this.#media = tags.filter(({ sequenceHeader }) => !sequenceHeader);
    const header = (kind: number): FlvTag | undefined =>
      tags.find(({ type, sequenceHeader }) => sequenceHeader && type === kind);
    this.videoHeader = header(TAG_VIDEO);
    this.audioHeader = header(TAG_AUDIO);
  }

  requestKeyFrame(): void {}

  play(): void {
    this.emit('tags', new TagGroup(this.#media));
  }
}

/** What `/push/check` says about a stream that is to be pushed to the platform. */
async function check(platform: string, stream: Stream): Promise<Verdict[]> {
  const rendition = new PlayedRendition(await encode(stream));
  const clock = new FakeClock();
  const preflight = new Preflight({
    wire: { check: async () => [] },
    parse: (_, url) => parseDestination(url, 'cam', { streamNamePrefix: '', fullUrl: true }),
    platformOf: () => catalogue.find(platform),
    acquire: async () => ({ rendition: rendition as unknown as Rendition, release: async () => {} }),
    meterOf: () => undefined,
    measureMs: 200,
    clock,
  });
  const rtmpUrl = `${stream.transport ?? 'rtmps'}://127.0.0.1/live/key`;
  const checking = preflight.check({ streamName: 'cam', rtmpUrl }, new AbortController().signal);
  await waitFor('the measurement', () => rendition.listenerCount('tags') === 1, { every: 5 });
  rendition.play();
  await clock.passSettled(200);
  return checking;
}

/** What is to be pushed where, and the verdict about the rule that it breaks; it breaks no other one. */
const BROKEN: Readonly<Record<string, readonly [platform: string, stream: Stream, verdict: Partial<Verdict>]>> = {
  'key frames above the recommended interval': [
    'twitch',
    { size: '640x360', video: ['-g', '90'] },
    { check: 'keyFrameInterval', level: 'warning', measured: '3.0 s', rule: 'at most 2 s (recommended)' },
  ],
  'key frames above the hard interval': [
    'youtube',
    { noise: true, video: [...rate(4500), '-g', '150'] },
    { check: 'keyFrameInterval', level: 'error', measured: '5.0 s', rule: 'at most 4 s (hard)' },
  ],
  'key frames that come too often': [
    'cloudflare',
    {},
    { check: 'keyFrameInterval', level: 'warning', measured: '1.0 s', rule: '2 to 8 s (recommended)' },
  ],
  'a bitrate above the recommended one': [
    'linkedin',
    { noise: true, video: rate(4500) },
    { check: 'videoBitrate', level: 'warning', rule: 'at most 3500 kbit/s (recommended)' },
  ],
  'a bitrate above the hard limit': [
    'ivs',
    { noise: true, video: rate(10_000) },
    { check: 'videoBitrate', level: 'error', rule: 'at most 8500 kbit/s (hard)' },
  ],
  'a bitrate below the recommended one': [
    'youtube',
    { noise: true, video: rate(1500) },
    { check: 'videoBitrate', level: 'warning', rule: '3000 to 8000 kbit/s (recommended)' },
  ],
  'a high frame rate': [
    'linkedin',
    { fps: 60, size: '640x360' },
    { check: 'frameRate', level: 'warning', measured: '60.0 fps', rule: 'at most 30 fps (recommended)' },
  ],
  'a large frame': [
    'twitch',
    { size: '2560x1440', video: rate(4000) },
    { check: 'videoSize', level: 'warning', measured: '2560x1440', rule: 'at most 1920x1080 (recommended)' },
  ],
  'a portrait frame above the hard limit': [
    'ivs',
    { size: '1088x1920', video: rate(4000) },
    { check: 'videoSize', level: 'error', measured: '1088x1920', rule: 'at most 1920x1080 (hard)' },
  ],
  landscape: [
    'tiktok',
    {},
    { check: 'orientation', level: 'warning', measured: 'landscape', rule: 'portrait (recommended)' },
  ],
  'the profile high': [
    'twitch',
    { size: '640x360', video: ['-profile:v', 'high', '-x264-params', '8x8dct=1'] },
    { check: 'videoProfile', level: 'warning', measured: 'high', rule: 'baseline or main (recommended)' },
  ],
  'a high level': [
    'facebook',
    { size: '320x180', video: ['-level', '5.1'] },
    { check: 'videoLevel', level: 'warning', measured: '5.1', rule: 'at most 4.2 (recommended)' },
  ],
  'B-frames': [
    'chzzk',
    { video: ['-profile:v', 'main', '-bf', '2', '-x264-params', 'b-adapt=0'] },
    { check: 'bFrames', level: 'warning', measured: 'B-frames', rule: 'no B-frames (recommended)' },
  ],
  'another video codec': [
    'twitch',
    { size: '320x180', video: ['-c:v', 'flv1', '-profile:v', '-99'] },
    { check: 'videoCodec', level: 'warning', measured: 'flv codec 2', rule: 'h264 (recommended)' },
  ],
  'no video': [
    'ivs',
    { video: 'none' },
    { check: 'video', level: 'error', measured: 'no video', rule: 'video (hard)' },
  ],
  'no audio': [
    'facebook',
    { size: '320x180', audio: 'none' },
    { check: 'audio', level: 'error', measured: 'no audio', rule: 'audio (hard)' },
  ],
  'another audio codec': [
    'vimeo',
    { size: '320x180', audio: ['-c:a', 'speex', '-ar', '16000', '-ac', '1'] },
    { check: 'audioCodec', level: 'warning', measured: 'speex', rule: 'aac (recommended)' },
  ],
  'too many bits of audio': [
    'facebook',
    { size: '320x180', audio: ['-b:a', '480k', '-cutoff', '20000'] },
    { check: 'audioBitrate', level: 'error', rule: 'at most 256 kbit/s (hard)' },
  ],
  'a low sample rate': [
    'facebook',
    { size: '320x180', audio: ['-ar', '22050'] },
    { check: 'audioSampleRate', level: 'warning', measured: '22050 Hz', rule: '44100 or 48000 Hz (recommended)' },
  ],
  'six channels': [
    'facebook',
    { size: '320x180', audio: ['-ac', '6', '-b:a', '192k'] },
    { check: 'audioChannels', level: 'warning', measured: '6', rule: 'at most 2 (recommended)' },
  ],
  'RTMP without TLS': [
    'facebook',
    { size: '320x180', transport: 'rtmp' },
    { check: 'transport', level: 'error', measured: 'rtmp', rule: 'rtmps (hard)' },
  ],
};

for (const [name, [platform, stream, expected]] of Object.entries(BROKEN))
  t.test(`${platform}: ${name}`, async (t) => {
    const verdicts = await check(platform, stream);
    t.match(verdicts[0], { check: 'stream', level: 'ok' });
    const broken = verdicts.filter(({ level }) => level !== 'ok');
    t.match(broken, [{ ...expected, source: /, checked \d{4}-\d\d-\d\d/, remedy: /\w/ }]);
    t.equal(broken.length, 1, 'no other rule');
  });

t.test('every check that a platform has a rule for is broken once', async (t) => {
  const checks = new Set(platformsFile.platforms.flatMap(({ rules }) => rules.map(({ check }) => check)));
  // Not a property of the stream.
  checks.delete('sessionLength');
  t.strictSame([...checks].sort(), [...new Set(Object.values(BROKEN).map(([, , { check }]) => check))].sort());
});
