import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import type { RecordFormat } from '../../../../src/outputs/record/container.ts';
import { DiskWaits } from '../../../../src/outputs/record/disk-waits.ts';
import { finishFile } from '../../../../src/outputs/record/finish-file.ts';
import { Posters } from '../../../../src/outputs/record/posters.ts';
import { createNewFile } from '../../../../src/outputs/record/record-file.ts';
import { Recorders, type RecordersOptions } from '../../../../src/outputs/record/recorders.ts';
import { Recordings } from '../../../../src/outputs/record/recordings.ts';
import { Uploads } from '../../../../src/outputs/record/upload/uploads.ts';
import type { EncodeProfile } from '../../../../src/renditions/encode-profile.ts';
import { EncoderPool } from '../../../../src/renditions/encoder-pool.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import { fakePublisher, FakeSubscription, vp8KeyFrame } from '../../../helpers/fake-publisher.ts';
import { ffmpeg, ffprobe } from '../../../helpers/ffmpeg-tool.ts';
import { opusPackets } from '../../../helpers/opus.ts';
import { waitFor } from '../../../helpers/wait.ts';

async function setUp(
  t: Test,
  audio: 'aac' | 'opus',
  format: RecordFormat,
  encoders?: Pick<EncoderPool, 'acquire'>,
  more: Partial<RecordersOptions> = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'recorders-'));
  const store = new MemoryStore({ logger: silentLogger });
  const recordings = await Recordings.create(folder, store, silentLogger);
  const registry = new StreamRegistry({ resumeWindowMs: 10_000, maxStreams: 10 });
  // Without ffmpeg: nothing may be encoded.
  const pool = new EncoderPool({
    ...{ audioBitrate: 128, audioBatchMs: 60, videoBitrate: 0, keyFrameIntervalMs: 2000, logger: silentLogger },
    ...{ transcodingDisabled: true, maxEncoders: 0 },
  });
  const recorders = Recorders.create({
    ...{ enabled: true, all: false, recordings, maxRecorders: 4, minFreeBytes: 0, audio, registry },
    ...{ encoders: (encoders ?? pool) as EncoderPool, freeBytes: async () => Infinity, logger: silentLogger },
    posters: await Posters.create({
      ...{ recordings, maxFrameSize: { width: 1920, height: 1080 }, maxDecodes: 1, logger: silentLogger },
    }),
    environment: {
      ...{ recordings, lateGroups: new LateGroups({ overloaded: false }), format, template: '{stream}-{id}' },
      ...{
        maxFileBytes: 0,
        maxFileMs: 0,
        standby: false,
        openFile: createNewFile,
        finish: finishFile,
        logger: silentLogger,
      },
    },
    uploads: Uploads.none({ recordings, store, logger: silentLogger }),
    retention: { keepMs: 0, maxTotalBytes: 0 },
    ...more,
  });
  t.teardown(async () => {
    registry.close(new GatewayError('SHUTTING_DOWN', 'closing'));
    await recorders.close(new GatewayError('SHUTTING_DOWN', 'closing'));
    await rm(folder, { recursive: true });
  });
  return { recorders, recordings, registry };
}

await t.test('what is encoded for a recording, by its settings and its publisher', async (t) => {
  const profileOf = async (
    audio: 'aac' | 'opus',
    format: RecordFormat,
    audioCodec?: 'opus' | 'pcmu',
  ): Promise<EncodeProfile> => {
    let asked: EncodeProfile | undefined;
    const acquire: EncoderPool['acquire'] = async (_, profile) => {
      asked = profile;
      throw new GatewayError('LIMIT_REACHED', 'asked');
    };
    const { recorders, registry } = await setUp(t, audio, format, { acquire });
    registry.publish('show', fakePublisher(audioCodec ? { audio: new FakeSubscription(), audioCodec } : {}));
    await t.rejects(recorders.start('show'), { message: 'asked' });
    return asked!;
  };
  t.strictSame(await profileOf('aac', 'mp4', 'opus'), { audioCodec: 'aac', original: true });
  t.strictSame(await profileOf('opus', 'mp4', 'opus'), { audioCodec: 'opus', original: true });
  t.strictSame(await profileOf('opus', 'mp4', 'pcmu'), { audioCodec: 'aac', original: true });
  t.strictSame(await profileOf('opus', 'mp4'), { audioCodec: 'opus', original: true }, 'silence in either codec');
  t.strictSame(await profileOf('aac', 'flv', 'opus'), { audioCodec: 'aac' }, 'H.264 alone');
});

await t.test('VP8 and Opus need no encoder; G.711 after Opus ends the recording', async (t) => {
  const { recorders, recordings, registry } = await setUp(t, 'opus', 'mp4');
  const [video, audio] = [new FakeSubscription(), new FakeSubscription()];
  const publisher = fakePublisher({ video, videoCodec: 'vp8', audio });
  const stream = registry.publish('show', publisher);
  await recorders.start('show');
  const packets = opusPackets('sine=frequency=440:sample_rate=48000', 2);
  let sent = 0;
  const feeding = setInterval(() => {
    video.packet(sent * 1800, vp8KeyFrame(64, 48));
    audio.packet(sent * 960, packets[sent++ % packets.length]!);
  }, 20);
  t.teardown(() => clearInterval(feeding));
  await waitFor('a second', () => (recordings.all()[0]?.durationMs ?? 0) > 1000);
  t.match(recordings.all()[0], { videoCodec: 'vp8', audioCodec: 'opus', width: 64, height: 48, state: 'recording' });
  registry.lose(stream, publisher);
  registry.publish('show', fakePublisher({ audio: new FakeSubscription(), audioCodec: 'pcmu' }));
  const failed = await waitFor('the end', () => recordings.all().find(({ state }) => state === 'failed'));
  t.match(failed, { reasonCode: 'ENCODER_FAILED', reason: /PCMU/ });
  t.ok(failed.durationMs > 1000);
});

await t.test('audio of a stall that arrives complete afterwards is in the recording', async (t) => {
  const { recorders, recordings, registry } = await setUp(t, 'opus', 'mp4');
  const [video, audio] = [new FakeSubscription(), new FakeSubscription()];
  registry.publish('show', fakePublisher({ video, videoCodec: 'vp8', audio }));
  await recorders.start('show');
  const packets = opusPackets('sine=frequency=440:sample_rate=48000', 2);
  const startedMs = performance.now();
  let frames = 0;
  let heard = 0;
  const feeding = setInterval(() => {
    const ms = performance.now() - startedMs;
    for (; frames * 40 <= ms; frames++) video.packet(frames * 3600, vp8KeyFrame(64, 48));
    const stalls = ms > 1000 && ms < 4500;
    if (!stalls) for (; heard * 20 <= ms; heard++) audio.packet(heard * 960, packets[heard % packets.length]!);
  }, 20);
  t.teardown(() => clearInterval(feeding));
  await waitFor('six seconds', () => (recordings.all()[0]?.durationMs ?? 0) > 6000);
  clearInterval(feeding);
  await recorders.stop('show', new GatewayError('STREAM_STOPPED', 'stopped'));
  const path = recordings.pathOf(recordings.all()[0]!);
  const pcm = await ffmpeg(['-i', path, '-map', '0:a', '-f', 's16le', '-ac', '1', '-ar', '48000', 'pipe:1']);
  const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length >> 1);
  let silentMs = 0;
  for (let at = 0; at + 480 <= samples.length; at += 480)
    if (samples.subarray(at, at + 480).every((sample) => Math.abs(sample) < 500)) silentMs += 10;
  t.ok(samples.length / 48 > 5700, `${samples.length / 48} ms of audio`);
  t.ok(silentMs <= 100, `${silentMs} ms of silence`);
  const entries = ['-select_streams', 'v', '-count_packets', path];
  const { streams } = (await ffprobe(entries, 'stream=nb_read_packets')) as { streams: { nb_read_packets: string }[] };
  t.ok(Math.abs(Number(streams[0]!.nb_read_packets) - frames) <= 3, 'all frames');
});

await t.test('record_all goes on in another file when the disk has room again', async (t) => {
  let free = 100;
  const { recorders, recordings, registry } = await setUp(t, 'opus', 'mp4', undefined, {
    ...{ all: true, minFreeBytes: 10, freeBytes: async () => free },
  });
  const packets = opusPackets('sine=frequency=440:sample_rate=48000', 2);
  const tracks = [new FakeSubscription(), new FakeSubscription()] as const;
  let sent = 0;
  const feeding = setInterval(() => {
    for (const track of tracks) track.packet(sent * 960, packets[sent % packets.length]!);
    sent++;
  }, 20);
  t.teardown(() => clearInterval(feeding));
  const states = (name: string) =>
    recordings
      .all()
      .filter(({ stream }) => stream === name)
      .map(({ state, reasonCode = '' }) => `${state} ${reasonCode}`.trim())
      .sort();
  const stream = registry.publish('first', fakePublisher({ audio: tracks[0] }));
  await waitFor('a recording', () => states('first').length === 1);
  free = 5;
  await recorders.lookAtDisk();
  await waitFor('its end', () => !recorders.isRecording('first') && states('first')[0] === 'failed DISK_FULL');
  registry.publish('second', fakePublisher({ audio: tracks[1] }));
  await waitFor('the refusal', async () => {
    await recorders.lookAtDisk();
    return !recorders.isRecording('second');
  });
  t.strictSame(states('second'), [], 'refused from the beginning');
  free = 100;
  await waitFor('both recordings', async () => {
    await recorders.lookAtDisk();
    return states('first').includes('recording') && states('second').includes('recording');
  });
  t.strictSame(states('first'), ['failed DISK_FULL', 'recording']);
  t.equal(new Set(recordings.all().map(({ file }) => file)).size, 3);

  free = 5;
  await recorders.lookAtDisk();
  await waitFor('the end', () => recorders.running === 0);
  registry.end(stream, new GatewayError('STREAM_STOPPED', 'stopped'));
  await recorders.stop('second', new GatewayError('TERMINATED', 'by hand')).catch(() => undefined);
  free = 100;
  await recorders.lookAtDisk();
  t.equal(recorders.running, 0, 'neither what has ended nor what was stopped');
});

t.test('a disk that is full again and again is tried less and less often', async (t) => {
  const waits = new DiskWaits();
  const delays: number[] = [];
  let nowMs = 0;
  for (let time = 0; time < 10; time++) {
    waits.add('show', nowMs, 1);
    let ms = 0;
    for (; waits.due(nowMs + ms).length === 0; ms += 1000);
    delays.push(ms);
    nowMs += ms;
    waits.tried('show');
    t.strictSame(waits.due(nowMs + 1e9), [], 'it is being recorded');
  }
  t.strictSame(delays.slice(0, 4), [0, 10_000, 20_000, 40_000]);
  t.equal(delays.at(-1), 300_000);
  waits.forget('show');
  waits.add('show', nowMs);
  t.strictSame(waits.due(nowMs), ['show']);
});
