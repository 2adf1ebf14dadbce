import { EventEmitter } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { opusPacketSamples } from '../../../../src/media/codecs/opus-packet.ts';
import { TAG_AUDIO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { finishFile } from '../../../../src/outputs/record/finish-file.ts';
import { createNewFile } from '../../../../src/outputs/record/record-file.ts';
import { Recorder } from '../../../../src/outputs/record/recorder.ts';
import { Recordings } from '../../../../src/outputs/record/recordings.ts';
import { OPUS_FORMAT } from '../../../../src/renditions/audio-format.ts';
import type { MediaSource, MediaSourceEvents } from '../../../../src/renditions/media-source.ts';
import { OriginalRendition } from '../../../../src/renditions/original-rendition.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import type { FrameSize } from '../../../../src/streams/live-stream.ts';
import { ffmpeg, ffprobe, frameHashes } from '../../../helpers/ffmpeg-tool.ts';
import { opusPackets } from '../../../helpers/opus.ts';

type Codec = 'vp8' | 'vp9' | 'av1';

const ENCODERS: Record<string, { codec: Codec; name: string; options: string[]; probed: Record<string, unknown> }> = {
  VP8: { codec: 'vp8', name: 'vp8', options: ['-c:v', 'libvpx', '-deadline', 'realtime'], probed: {} },
  VP9: {
    codec: 'vp9',
    name: 'vp9',
    options: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8'],
    probed: { profile: 'Profile 0', pix_fmt: 'yuv420p' },
  },
  'VP9 without subsampling': {
    codec: 'vp9',
    name: 'vp9',
    options: ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-pix_fmt', 'yuv444p'],
    probed: { profile: 'Profile 1', pix_fmt: 'yuv444p' },
  },
  AV1: {
    codec: 'av1',
    name: 'av1',
    options: ['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime'],
    probed: { profile: 'Main', pix_fmt: 'yuv420p' },
  },
};

const FPS = 25;
const FRAME_MS = 1000 / FPS;

async function encode(options: readonly string[], { width, height }: FrameSize): Promise<Buffer> {
  const source = `testsrc2=size=${width}x${height}:rate=${FPS}:duration=1`;
  const args = ['-f', 'lavfi', '-i', source, '-pix_fmt', 'yuv420p', ...options, '-lag-in-frames', '0', '-g', '10'];
  return ffmpeg([...args, '-b:v', '300k', '-f', 'ivf', 'pipe:1']);
}

function framesOf(ivf: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 32; at < ivf.length;) {
    const bytes = ivf.readUInt32LE(at);
    frames.push(ivf.subarray(at + 12, at + 12 + bytes));
    at += 12 + bytes;
  }
  return frames;
}

const isKeyFrame: Record<Codec, (frame: Buffer) => boolean> = {
  vp8: (frame) => (frame[0]! & 1) === 0,
  vp9: (frame) => (frame[0]! & 0b0000_1100) === 0,
  // A temporal delimiter, then a sequence header.
  av1: (frame) => frame[2]! >> 3 === 1,
};

async function setUp(t: { teardown(fn: () => unknown): void }, codec: Codec) {
  const folder = await mkdtemp(join(tmpdir(), 'original-'));
  const recordings = await Recordings.create(folder, new MemoryStore({ logger: silentLogger }), silentLogger);
  const source = Object.assign(new EventEmitter<MediaSourceEvents>(), {
    metadata: {} as MediaSource['metadata'],
    videoHeader: undefined,
    audioHeader: audioTag(OPUS_FORMAT.header!, 0, true),
    videoCodec: codec,
    requestKeyFrame: () => undefined,
  }) satisfies MediaSource;
  const rendition = new OriginalRendition(source);
  t.teardown(async () => {
    await rendition.close();
    await rm(folder, { recursive: true });
  });
  const recorder = Recorder.start(
    'show',
    { rendition, release: () => rendition.close() },
    {
      ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format: 'mp4', template: '{stream}-{id}' },
      ...{
        maxFileBytes: 0,
        maxFileMs: 0,
        standby: false,
        openFile: createNewFile,
        finish: finishFile,
        logger: silentLogger,
      },
    },
  );
  await immediate();
  await immediate();
  return { folder, recordings, source, recorder };
}

const audioTag = (data: Buffer, timestamp: number, sequenceHeader = false): FlvTag => ({
  type: TAG_AUDIO,
  ...{ timestamp, data, keyFrame: false, sequenceHeader },
});

const packets = opusPackets('sine=frequency=440:sample_rate=48000', 2);
const SMALL = { width: 160, height: 120 };
const LARGE = { width: 320, height: 180 };

interface Probe {
  format: { duration: string };
  streams: Record<string, string>[];
}

for (const [title, { codec, name, options, probed }] of Object.entries(ENCODERS))
  await t.test(`${title} and Opus are recorded as they came; another size begins another file`, async (t) => {
    const { folder, recordings, source, recorder } = await setUp(t, codec);
    const clips = [
      { size: SMALL, ivf: await encode(options, SMALL) },
      { size: LARGE, ivf: await encode(options, LARGE) },
    ];
    let timeMs = 500;
    let packet = 0;
    for (const { size, ivf } of clips) {
      source.metadata = size;
      for (const data of framesOf(ivf)) {
        source.emit('frame', { codec, data, timestamp: timeMs, keyFrame: isKeyFrame[codec](data) });
        for (let half = 0; half < 2; half++, packet++)
          source.emit(
            'completeAudio',
            audioTag(OPUS_FORMAT.body(packets[packet % packets.length]!), timeMs + half * 20),
          );
        timeMs += FRAME_MS;
        await immediate();
      }
    }
    await recorder.stop(new GatewayError('STREAM_STOPPED', 'stopped'));
    const files = recordings.all();
    t.match(files, [
      { part: 1, state: 'complete', videoCodec: codec, audioCodec: 'opus', ...SMALL },
      { part: 2, state: 'complete', videoCodec: codec, audioCodec: 'opus', ...LARGE },
    ]);
    for (const [index, { size, ivf }] of clips.entries()) {
      const file = join(folder, files[index]!.file);
      const entries = `format=duration:stream=codec_name,profile,pix_fmt,width,height,start_time,nb_frames,sample_rate,channels`;
      const { streams, format } = (await ffprobe([file], entries)) as Probe;
      t.match(streams[0], { codec_name: name, ...size, ...probed, nb_frames: String(FPS), start_time: '0.000000' });
      t.match(streams[1], { codec_name: 'opus', sample_rate: '48000', channels: 2 });
      t.ok(Math.abs(Number(streams[1]!['start_time'])) <= 0.04, `audio begins at ${streams[1]!['start_time']}`);
      t.ok(Math.abs(Number(format.duration) - 1) <= 0.05, `${format.duration} s`);
      t.strictSame(
        await frameHashes(['-i', file, '-map', '0:v']),
        await frameHashes(['-f', 'ivf', '-i', 'pipe:0'], ivf),
        'the frames of the encoder',
      );
      const pcm = await ffmpeg(['-i', file, '-map', '0:a', '-f', 's16le', '-ac', '1', '-ar', '48000', 'pipe:1']);
      t.ok(Math.abs(pcm.length / 2 / 48_000 - 1) <= 0.05, `${pcm.length / 2} samples`);
      const after = await finishFile(file, 'mp4');
      t.equal(after?.durationMs, files[index]!.durationMs, 'finishing twice changes nothing');
    }
  });

t.test('packets of Opus that are not all of one length follow each other without gaps', (t) => {
  t.equal(OPUS_FORMAT.durationMs!(packets[0]!), 20);
  const two = Buffer.concat([Buffer.of(packets[0]![0]! | 1), packets[0]!.subarray(1), packets[0]!.subarray(1)]);
  t.equal(opusPacketSamples(two), 1920);
  t.equal(OPUS_FORMAT.durationMs!(two), 40);
  t.equal(OPUS_FORMAT.durationMs!(OPUS_FORMAT.silence.subarray(5)), OPUS_FORMAT.frameMs);
  t.end();
});

t.test('a key frame whose header is damaged ends the recording with a reason, not the process', async (t) => {
  const { source, recorder, recordings } = await setUp(t, 'vp9');
  source.metadata = SMALL;
  source.emit('frame', { codec: 'vp9', data: Buffer.of(0x82, 1, 2, 3), timestamp: 0, keyFrame: true });
  await immediate();
  t.match(recorder.failure, { code: 'ENCODER_FAILED' });
  t.strictSame(recordings.all(), []);
});
