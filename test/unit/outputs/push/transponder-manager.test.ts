import { EventEmitter, once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { EncoderPool } from '../../../../src/renditions/encoder-pool.ts';
import { encodeProfile } from '../../../../src/renditions/encode-profile.ts';
import { GatewayError } from '../../../../src/errors.ts';
import { createLogger, silentLogger } from '../../../../src/observe/logger.ts';
import type { Pusher, PusherEvents, PusherFactory } from '../../../../src/outputs/push/pusher.ts';
import type {
  Publisher,
  TrackSubscription,
  TrackSubscriptionEvents,
  VideoCodec,
} from '../../../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import type { SoundClip, SoundLibrary } from '../../../../src/outputs/push/sound-library.ts';
import {
  TransponderManager,
  type TransponderManagerOptions,
} from '../../../../src/outputs/push/transponder-manager.ts';
import {
  listTransponders,
  type TransponderControl,
  type StartRequest,
  type TransponderFilter,
} from '../../../../src/outputs/push/transponder-control.ts';
import { PlatformCatalogue } from '../../../../src/outputs/push/platforms/catalogue.ts';
import { PushPlatforms } from '../../../../src/outputs/push/platforms/push-platforms.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { StoredPushes } from '../../../../src/outputs/push/record/stored-pushes.ts';
import { TransponderHistory } from '../../../../src/outputs/push/transponder-history.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import { SecretBox } from '../../../../src/store/secret-box.ts';
import { StandbyRenditions } from '../../../../src/outputs/push/standby-renditions.ts';
import type { StandbyRequest } from '../../../../src/outputs/push/transponder-control.ts';
import { FakeStandbyClips } from '../../../helpers/fake-standby-clips.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { usualCodecs } from '../../../helpers/usual-codecs.ts';

/** A connection whose destination never answers. */
class SilentPusher extends EventEmitter<PusherEvents> implements Pusher {
  readonly writable = true;
  readonly backlog = 0;
  write(): void {}
  async close(): Promise<void> {}
}

const done = new GatewayError('SHUTTING_DOWN', 'done');

/** A publisher with a track that sends nothing. */
function publisher(id: string, codec: VideoCodec): Publisher {
  const subscribe = async (): Promise<TrackSubscription> =>
    Object.assign(new EventEmitter<TrackSubscriptionEvents>(), {
      roundTripMs: 0,
      requestKeyFrame: () => {},
      close: () => {},
    });
  return { id, video: { kind: 'video', codec, clockRate: 90_000, subscribe }, close: () => {} };
}

const createHistory = (kept: number): Promise<TransponderHistory> =>
  TransponderHistory.create({
    store: new MemoryStore({ logger: silentLogger }),
    box: SecretBox.withRandomKey(),
    kept,
    logger: silentLogger,
  });

async function setUp(
  t: Test,
  overrides: Partial<TransponderManagerOptions> = {},
  resolve: TransponderManagerOptions['environment']['resolve'] = async () => ({ addresses: ['127.0.0.1'] }),
  createPusher: PusherFactory = () => new SilentPusher(),
  logger = silentLogger,
) {
  const registry = new StreamRegistry({ resumeWindowMs: 15_000, maxStreams: 10 });
  const encoders = new EncoderPool({
    audioBitrate: 128,
    audioBatchMs: 120,
    videoBitrate: 0,
    keyFrameIntervalMs: 2000,
    transcodingDisabled: false,
    maxEncoders: 1,
    logger: silentLogger,
  });
  const clips = new FakeStandbyClips();
  const manager = new TransponderManager({
    registry,
    encoders,
    standby: new StandbyRenditions({
      registry,
      encoders,
      clips,
      freezeFrames: () => undefined,
      keyFrameIntervalMs: 1000,
      logger: silentLogger,
    }),
    sounds: {} as SoundLibrary,
    platforms: new PushPlatforms({ catalogue: PlatformCatalogue.create() }),
    wire: { check: async () => [] },
    addressing: { streamNamePrefix: 'rtmp_', fullUrl: false },
    preserveAspectRatio: true,
    codecs: usualCodecs,
    maxTransponders: 100,
    maxPerStream: 20,
    history: await createHistory(10),
    autoStartUrl: '',
    logger: silentLogger,
    environment: {
      createPusher,
      resolve,
      retry: { enabled: false, attempts: 0, intervalMs: 1, capMs: 0 },
      outBuffer: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
      pollingMs: 50,
      lateGroups: new LateGroups({ overloaded: false }),
      sendMetadata: true,
      silence: Buffer.alloc(5),
      flashVersion: 'FMLE/3.0',
      stallTimeoutMs: 1000,
      logger,
      onInvalidTransition: (status, event) => t.fail(`${status} ${event}`),
    },
    ...overrides,
  });
  t.teardown(async () => {
    await manager.close(done);
    registry.close(done);
  });
  /** The results of pushes that are requested at the same time. */
  const startAll = (count: number, more: (i: number) => object = () => ({})): Promise<string[]> =>
    Promise.all(
      Array.from({ length: count }, (_, i) =>
        manager.start({ streamName: 'show', rtmpUrl: `rtmp://127.0.0.1/live${i}`, ...more(i) }).then(
          () => 'started',
          (error: GatewayError) => error.code,
        ),
      ),
    );
  return { registry, encoders, clips, manager, startAll };
}

t.test('limits hold for simultaneous requests', async (t) => {
  for (const limits of [{ maxPerStream: 2 }, { maxTransponders: 2 }]) {
    const { registry, manager, startAll } = await setUp(t, limits);
    registry.publish('show', publisher('p', 'h264'));
    t.strictSame(await startAll(5), ['started', 'started', 'LIMIT_REACHED', 'LIMIT_REACHED', 'LIMIT_REACHED']);
    t.equal(manager.find({}).length, 2);
    await manager.terminate(manager.find({})[0]!.mediaSessionId);
    t.strictSame(await startAll(1), ['started'], 'an ended push no longer counts');
  }
});

t.test('the limit of encoders holds for simultaneous requests, and refused ones hold nothing', async (t) => {
  const { registry, encoders, manager, startAll } = await setUp(t);
  registry.publish('show', publisher('p', 'h264'));
  t.strictSame((await startAll(3, (i) => ({ height: 200 + i * 100 }))).sort(), [
    'LIMIT_REACHED',
    'LIMIT_REACHED',
    'started',
  ]);
  t.equal(encoders.counts.videoEncoders, 1);
  await manager.terminate(manager.find({})[0]!.mediaSessionId);
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
});

t.test('the stream name comes from the URL if the settings or the request say so', async (t) => {
  for (const [setting, asked, name] of [
    [true, false, 'key'],
    [true, true, 'key'],
    [false, true, 'key'],
    [false, false, 'rtmp_show'],
  ] as const) {
    const { registry, manager } = await setUp(t, { addressing: { streamNamePrefix: 'rtmp_', fullUrl: setting } });
    registry.publish('show', publisher('p', 'h264'));
    const { streamName } = await manager.start({
      streamName: 'show',
      rtmpUrl: 'rtmp://127.0.0.1/live/key',
      rtmpTransponderFullUrl: asked,
    });
    t.equal(streamName, name, `rtmp_transponder_full_url=${setting}, rtmpTransponderFullUrl: ${asked}`);
  }
});

t.test(
  'a push to the same destination, and close(), wait until the connection of an ended push is closed',
  async (t) => {
    const left = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let connections = 0;
    const { registry, manager } = await setUp(t, {}, undefined, () => {
      const { promise } = left[connections++]!;
      return Object.assign(new SilentPusher(), { close: () => promise });
    });
    registry.publish('show', publisher('p', 'h264'));
    const { mediaSessionId } = await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://rtmp.example.com/live?a=1' });
    await waitFor('a connection', () => connections === 1, { every: 1 });
    const done: string[] = [];
    const terminated = manager.terminate(mediaSessionId).then(() => done.push('terminated'));
    t.throws(() => manager.find({}), { code: 'TRANSPONDER_NOT_FOUND' }, 'not found any more');
    const again = manager
      .start({ streamName: 'show', rtmpUrl: 'rtmp://RTMP.Example.com/live/?a=1' })
      .then(() => done.push('started'));
    await immediate();
    t.strictSame(done, []);
    left[0]!.resolve();
    await Promise.all([terminated, again]);
    await waitFor('another connection', () => connections === 2, { every: 1 });
    const closed = manager.close(new GatewayError('SHUTTING_DOWN', 'closing')).then(() => done.push('closed'));
    await immediate();
    t.strictSame(done.sort(), ['started', 'terminated']);
    left[1]!.resolve();
    await closed;
  },
);

t.test(
  'found by id, by either name and by URL; pushes end with their stream; ended ones are listed, the latest first',
  async (t) => {
    const { registry, manager } = await setUp(t, { history: await createHistory(2) });
    const [show] = ['show', 'other'].map((name) => registry.publish(name, publisher(name, 'h264')));
    const url = (i: number): string => `rtmp://127.0.0.1/live${i}`;
    const { mediaSessionId } = await manager.start({ streamName: 'other', rtmpUrl: url(0) });
    for (const i of [0, 1]) await manager.start({ streamName: 'show', rtmpUrl: url(i) });
    const count = (filter: TransponderFilter): number =>
      listTransponders({ find: () => manager.find(filter) } as unknown as TransponderControl).length;
    t.strictSame(
      [
        {},
        { streamName: 'show' },
        { streamName: 'rtmp_show' },
        { rtmpUrl: url(0) },
        { mediaSessionId },
        { mediaSessionId, streamName: 'show' },
      ].map(count),
      [3, 2, 2, 2, 1, 0],
    );
    const changes: string[] = [];
    const stop = manager.onChange(({ status }) => changes.push(status));
    registry.end(show!, new GatewayError('STREAM_STOPPED', 'stopped'));
    stop();
    await manager.terminate(mediaSessionId);
    t.strictSame(changes, ['ended', 'ended']);
    t.strictSame(
      manager.ended().map(({ sourceStreamName, reasonCode }) => [sourceStreamName, reasonCode]),
      [
        ['other', 'TERMINATED'],
        ['show', 'STREAM_STOPPED'],
      ],
    );
  },
);

t.test('listeners hear of a start before the first change', async (t) => {
  const { registry, manager, startAll } = await setUp(t);
  registry.publish('show', publisher('p', 'h264'));
  const heard: string[] = [];
  manager.onStart(({ status }) => heard.push(`started ${status}`));
  manager.onChange(({ status }) => heard.push(status));
  await startAll(1);
  await manager.terminate(manager.find({})[0]!.mediaSessionId);
  t.strictSame(heard, ['started connecting', 'ended']);
});

t.test('a push that is being started when its stream or the gateway ends, or whose host is not found', async (t) => {
  const stopped = new GatewayError('STREAM_STOPPED', 'stopped');
  const nowhere = new GatewayError('DESTINATION_NOT_RESOLVED', 'nowhere');
  for (const [what, found, code] of [
    ['stream', true, 'STREAM_STOPPED'],
    ['stream', false, 'STREAM_STOPPED'],
    ['all', true, 'SHUTTING_DOWN'],
    ['nothing', false, 'DESTINATION_NOT_RESOLVED'],
  ] as const) {
    const lookedUp = Promise.withResolvers<{ addresses: string[] }>();
    const { registry, encoders, manager, startAll } = await setUp(t, {}, () => lookedUp.promise);
    const stream = registry.publish('show', publisher('p', 'h264'));
    const started = startAll(1);
    if (what === 'stream') registry.end(stream, stopped);
    if (what === 'all') await manager.close(stopped);
    if (found) lookedUp.resolve({ addresses: ['127.0.0.1'] });
    else lookedUp.reject(nowhere);
    t.strictSame(await started, [code]);
    t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
    if (what === 'nothing') t.strictSame(await startAll(1), [code], 'and not TRANSPONDER_EXISTS');
  }
});

t.test('a push that is started while the DNS is away', async (t) => {
  const away = new GatewayError('DNS_UNAVAILABLE', 'The host of rtmpUrl could not be resolved (EAI_AGAIN).');
  const forbidden = new GatewayError('DESTINATION_FORBIDDEN', 'private');
  let isAway = (_: string): boolean => true;
  let later: GatewayError | undefined;
  const resolve = async ({ host }: { host: string }) => {
    if (isAway(host)) throw away;
    if (later) throw later;
    return { addresses: ['127.0.0.1'] };
  };
  const addresses: (readonly string[])[] = [];
  const { registry, manager } = await setUp(t, {}, resolve, (target) => {
    addresses.push(target.addresses);
    return new SilentPusher();
  });
  registry.publish('show', publisher('p', 'h264'));
  const plain = { streamName: 'show', rtmpUrl: 'rtmp://a.example/live' };
  const request = { ...plain, restoreIntervalMs: 20, restoreAttempts: 1000 };
  const found = () => manager.find({ streamName: 'show' })[0]!;
  for (const refused of [plain, { ...plain, restore: false }, { ...request, restore: false }])
    await t.rejects(manager.start(refused), { code: 'DNS_UNAVAILABLE', httpStatus: 503 });
  await t.rejects(manager.start({ ...plain, restore: false, backupUrl: 'rtmp://b.example/live' }), {
    code: 'DNS_UNAVAILABLE',
    message: /rtmpUrl/,
  });

  const { mediaSessionId } = await manager.start(request);
  await waitFor('the first failure', () => found().status === 'retrying', { every: 1 });
  t.match(found(), { reasonCode: 'DESTINATION_UNREACHABLE', reason: /EAI_AGAIN/ });
  t.strictSame(addresses, []);
  isAway = () => false;
  await waitFor('a connection', () => addresses.length > 0, { every: 1 });
  t.strictSame(addresses, [['127.0.0.1']]);
  await manager.terminate(mediaSessionId);

  isAway = () => true;
  await manager.start(request);
  later = forbidden;
  isAway = () => false;
  await waitFor('the end', () => manager.ended().some(({ reasonCode }) => reasonCode === 'DESTINATION_FORBIDDEN'), {
    every: 1,
  });
  t.equal(addresses.length, 1, 'the policy is asked before each connection');

  later = undefined;
  isAway = (host) => host === 'b.example';
  const withBackup = { ...plain, backupUrl: 'rtmp://b.example/live' };
  await t.rejects(manager.start({ ...withBackup, restore: false }), { message: /backupUrl/ });
  await manager.start({ ...withBackup, restoreIntervalMs: 20, restoreAttempts: 1000 });
  await waitFor('the backup to fail', () => found().legs[1]?.status === 'retrying', { every: 1 });
  t.match(found().legs[0], { leg: 'primary', status: 'connecting', reasonCode: '' });
  t.match(found().legs[1], { leg: 'backup', reason: /backupUrl.*EAI_AGAIN/ });
});

t.test('options of a request', async (t) => {
  const clip: SoundClip = { frames: [Buffer.alloc(5)] };
  let flashVersion: string | undefined;
  const { registry, manager } = await setUp(
    t,
    { sounds: { load: async () => clip } as unknown as SoundLibrary },
    undefined,
    (target) => ((flashVersion = target.flashVersion), new SilentPusher()),
  );
  const first = publisher('p', 'h264');
  const stream = registry.publish('show', first, 'key');
  const full = await manager.start({
    streamName: 'show',
    rtmpUrl: 'rtmp://127.0.0.1/live/name',
    rtmpTransponderFullUrl: true,
    rtmpFlashVersion: 'mine',
    options: { action: 'mute' },
  });
  t.match(full, { streamName: 'name', muted: true, soundEnabled: false });
  await waitFor('its connection', () => flashVersion === 'mine', { every: 1 });
  t.match(
    await manager.start({
      streamName: 'show',
      rtmpUrl: 'rtmp://127.0.0.1/live',
      options: { action: 'sound_on', soundFile: 'a.wav' },
    }),
    { muted: false, soundEnabled: true },
  );
  const late = manager.soundOn(full.mediaSessionId, 'b.wav', true);
  await Promise.all([manager.terminate(full.mediaSessionId), t.rejects(late, { code: 'TRANSPONDER_NOT_FOUND' })]);
  registry.lose(stream, first);
  await t.rejects(
    manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live2' }),
    { code: 'STREAM_NOT_FOUND' },
    'the publisher is away',
  );
});

t.test('of several sound orders the last one wins, however long its file takes to load', async (t) => {
  const clips = new Map<string, PromiseWithResolvers<SoundClip>>();
  const load = (name: string): Promise<SoundClip> => {
    clips.set(name, Promise.withResolvers());
    return clips.get(name)!.promise;
  };
  const clip: SoundClip = { frames: [Buffer.alloc(5)] };
  const { registry, manager } = await setUp(t, { sounds: { load } as SoundLibrary });
  registry.publish('show', publisher('p', 'h264'));
  const { mediaSessionId: id } = await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live' });
  const sounds = (): boolean => manager.find({})[0]!.soundEnabled;

  const on = manager.soundOn(id, 'a.wav', true);
  manager.soundOff(id);
  clips.get('a.wav')!.resolve(clip);
  await on;
  t.equal(sounds(), false, 'sound_off came after it');

  const [first, missing] = [manager.soundOn(id, 'b.wav', true), manager.soundOn(id, 'missing.wav', true)];
  clips.get('missing.wav')!.reject(new GatewayError('SOUND_FILE_NOT_FOUND', 'missing'));
  await t.rejects(missing, { code: 'SOUND_FILE_NOT_FOUND' });
  clips.get('b.wav')!.resolve(clip);
  await first;
  t.equal(sounds(), true, 'an order that fails replaces none');
  manager.soundOff(id);

  const [loops, once] = [manager.soundOn(id, 'long.wav', true), manager.soundOn(id, 'short.wav', false)];
  clips.get('short.wav')!.resolve(clip);
  await once;
  manager.soundOff(id);
  clips.get('long.wav')!.resolve(clip);
  await loops;
  t.equal(sounds(), false);
});

t.test('a sound file is not encoded any further when its push or its stream has ended', async (t) => {
  const signals: AbortSignal[] = [];
  const load = async (_name: string, signal: AbortSignal): Promise<SoundClip> => {
    signals.push(signal);
    await once(signal, 'abort');
    throw signal.reason;
  };
  const { registry, manager } = await setUp(t, { sounds: { load } as SoundLibrary });
  const stream = registry.publish('show', publisher('p', 'h264'));
  const { mediaSessionId: id } = await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live' });
  const on = manager.soundOn(id, 'a.wav', true);
  t.equal(signals[0]!.aborted, false);
  await Promise.all([t.rejects(on, { code: 'TRANSPONDER_NOT_FOUND' }), manager.terminate(id)]);
  const options = { action: 'sound_on', soundFile: 'a.wav' } as const;
  const started = manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live', options });
  await waitFor('the sound file', () => signals.length === 2, { every: 1 });
  registry.end(stream, new GatewayError('STREAM_STOPPED', 'Stopped'));
  await t.rejects(started, { code: 'STREAM_STOPPED' });
});

t.test('a sound file is not encoded any further when the client that asked for it has gone away', async (t) => {
  const signals: AbortSignal[] = [];
  const load = async (_name: string, signal: AbortSignal): Promise<SoundClip> => {
    signals.push(signal);
    if (!signal.aborted) await once(signal, 'abort');
    throw signal.reason;
  };
  const { registry, manager } = await setUp(t, { sounds: { load } as SoundLibrary });
  registry.publish('show', publisher('p', 'h264'));
  const options = { action: 'sound_on', soundFile: 'a.wav' } as const;
  const request = { streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live' };
  const client = new AbortController();
  const started = manager.start({ ...request, options }, { signal: client.signal });
  await waitFor('the sound file', () => signals.length === 1, { every: 1 });
  t.equal(signals[0]!.aborted, false);
  client.abort();
  await t.rejects(started, { code: 'REQUEST_TIMEOUT' });
  t.strictSame(listTransponders(manager), [], 'no push without its sound');
  const { mediaSessionId: id } = await manager.start(request, { signal: client.signal });
  t.match(listTransponders(manager), [{ mediaSessionId: id }], 'only sound files are given up');
  await t.rejects(manager.soundOn(id, 'a.wav', false, client.signal), { code: 'REQUEST_TIMEOUT' });
});

t.test('the id of the request is in every log line of its push', async (t) => {
  const lines: { msg: string; requestId?: string }[] = [];
  const logger = createLogger(
    { log_level: 'debug', log_format: 'json' },
    { destination: { write: (line) => void lines.push(JSON.parse(line) as never) } },
  );
  const loggers: unknown[] = [];
  const { registry, manager } = await setUp(
    t,
    { logger },
    undefined,
    (target) => {
      loggers.push(target.logger?.bindings()['requestId']);
      return new SilentPusher();
    },
    logger,
  );
  registry.publish('show', publisher('p', 'h264'));
  const request = { streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live' };
  const { mediaSessionId } = await manager.start(request, { requestId: 'job-1' });
  await waitFor('the connection', () => loggers.length > 0, { every: 1 });
  await t.rejects(manager.start(request, { requestId: 'job-2' }), { code: 'TRANSPONDER_EXISTS' });
  await manager.terminate(mediaSessionId);
  t.strictSame(loggers, ['job-1'], 'the pusher has it too');
  t.strictSame(
    lines.map(({ msg, requestId }) => [msg, requestId]),
    [
      ['push started', 'job-1'],
      ['push refused', 'job-2'],
      ['push ended', 'job-1'],
    ],
  );
});

t.test('a failed rtmp_push_auto_start is in the log and in the history', async (t) => {
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'warn', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const { registry, manager } = await setUp(t, { autoStartUrl: 'rtmp://u:s3cr3t@rtmp.example.com/live', logger }, () =>
    Promise.reject(new GatewayError('DESTINATION_NOT_RESOLVED', 'No such host.')),
  );
  registry.publish('show', publisher('p', 'h264'));
  const [ended] = await waitFor('the failure', () => (manager.ended().length > 0 ? manager.ended() : undefined), {
    every: 1,
  });
  t.match(ended, {
    status: 'ended',
    reasonCode: 'DESTINATION_NOT_RESOLVED',
    reason: 'No such host.',
    sourceStreamName: 'show',
  });
  t.match(
    lines.map((line) => JSON.parse(line) as object),
    [{ stream: 'show', code: 'DESTINATION_NOT_RESOLVED', reason: 'No such host.', msg: 'push refused' }],
  );
  t.notMatch(lines.join(), /s3cr3t/);
});

t.test('a publisher that is lost while its push is being started: the push uses its codec', async (t) => {
  const lookedUp = Promise.withResolvers<void>();
  const { registry, encoders, manager } = await setUp(t, {}, () =>
    lookedUp.promise.then(() => ({ addresses: ['127.0.0.1'] })),
  );
  const first = publisher('p1', 'vp8');
  const stream = registry.publish('show', first, 'key');
  const started = manager.start({ streamName: 'show', rtmpUrl: 'rtmp://rtmp.example.com/live' });
  registry.lose(stream, first);
  lookedUp.resolve();
  t.equal((await started).status, 'connecting');
  t.equal(encoders.counts.videoEncoders, 1, 'VP8 is transcoded');

  registry.publish('show', publisher('p2', 'vp8'), 'key');
  t.equal(manager.find({})[0]?.status, 'connecting');
});

t.test('a push goes on when the publisher returns with another codec', async (t) => {
  const lookedUp = Promise.withResolvers<void>();
  const { registry, encoders, manager } = await setUp(t, {}, () =>
    lookedUp.promise.then(() => ({ addresses: ['127.0.0.1'] })),
  );
  const first = publisher('p1', 'h264');
  const stream = registry.publish('show', first, 'key');
  const started = manager.start({ streamName: 'show', rtmpUrl: 'rtmp://rtmp.example.com/live' });
  registry.lose(stream, first);
  lookedUp.resolve();
  await started;
  registry.publish('show', publisher('p2', 'vp8'), 'key');
  t.equal(manager.find({}).length, 1, 'a publisher may return with another codec');
  t.equal(encoders.counts.videoEncoders, 1, 'which is encoded');
});

t.test('a rendition that has failed is not leased again', async (t) => {
  const { registry, encoders } = await setUp(t);
  const first = publisher('p1', 'h264');
  const stream = registry.publish('show', first, 'key');
  const small = encodeProfile({ height: 240 }, true, 'aac');
  const transcoder = await encoders.acquire(stream, small);
  transcoder.rendition.emit('failed', new GatewayError('ENCODER_FAILED', 'died five times'));
  await transcoder.release();
  const second = await encoders.acquire(stream, small);
  t.not(second.rendition, transcoder.rendition);
  t.equal(encoders.counts.videoEncoders, 1);
  const third = await encoders.acquire(stream, small);
  t.equal(third.rendition, second.rendition);
  for (const lease of [second, third]) await lease.release();
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
});

const STANDBY: StandbyRequest = {
  freezeMs: 0,
  source: 'color',
  color: '#102030',
  holdMs: 0,
  startWithStandby: false,
};

/** A connection whose destination takes everything. */
class TakingPusher extends SilentPusher {
  constructor() {
    super();
    setImmediate(() => this.emit('ready'));
  }
  override write(): void {
    setImmediate(() => this.emit('progress', 1));
  }
}

t.test('a push with standby outlives its stream, and others do not', async (t) => {
  const { registry, encoders, manager } = await setUp(t, { maxPerStream: 2 }, undefined, () => new TakingPusher());
  const stream = registry.publish('show', publisher('p', 'h264'));
  const { mediaSessionId } = await manager.start({
    streamName: 'show',
    rtmpUrl: 'rtmp://127.0.0.1/a',
    standby: STANDBY,
  });
  await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/b' });
  registry.end(stream, new GatewayError('STREAM_STOPPED', 'stopped'));
  t.strictSame(
    manager.find({}).map((view) => view.mediaSessionId),
    [mediaSessionId],
  );
  await waitFor('standby', () => manager.find({ mediaSessionId })[0]!.status === 'standby');
  const [view] = manager.find({ mediaSessionId });
  t.match(view, { standby: { reason: 'publisher', picture: 'color' }, width: 1280, height: 720, reason: '' });
  t.equal(view!.publisherAway!.until, undefined);
  await t.rejects(
    manager.start({
      streamName: 'show',
      rtmpUrl: 'rtmp://127.0.0.1/a',
      standby: { ...STANDBY, startWithStandby: true },
    }),
    { code: 'TRANSPONDER_EXISTS' },
  );
  registry.publish('show', publisher('q', 'h264'));
  t.equal(manager.find({ mediaSessionId })[0]!.publisherAway, undefined);
  await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/c' });
  await t.rejects(
    manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/d' }),
    { code: 'LIMIT_REACHED' },
    'it counts',
  );
  await manager.terminate(mediaSessionId);
  await manager.close(done);
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
});

t.test('a push with standby may start before its stream, if it is asked to', async (t) => {
  const { manager } = await setUp(t, {}, undefined, () => new TakingPusher());
  const request = { streamName: 'later', rtmpUrl: 'rtmp://127.0.0.1/live' };
  await t.rejects(manager.start(request), { code: 'STREAM_NOT_FOUND' });
  await t.rejects(manager.start({ ...request, standby: STANDBY }), { code: 'STREAM_NOT_FOUND' });
  const early = { ...STANDBY, startWithStandby: true, holdMs: 60_000 };
  const view = await manager.start({ ...request, standby: early });
  t.match(view, { status: 'connecting', sourceStreamName: 'later', publisherAway: { since: String, until: String } });
  await waitFor('standby', () => manager.find({})[0]!.status === 'standby');
});

t.test('the hold time ends a push with standby', async (t) => {
  const { manager } = await setUp(t);
  const standby = { ...STANDBY, startWithStandby: true, holdMs: 50 };
  await manager.start({ streamName: 'later', rtmpUrl: 'rtmp://127.0.0.1/live', standby });
  await waitFor('its end', () => manager.ended().length === 1);
  t.match(manager.ended(), [{ status: 'ended', reasonCode: 'PUBLISHER_LOST' }]);
});

t.test('standby by default, not wanted, not possible', async (t) => {
  const { registry, manager } = await setUp(t, { standbyByDefault: STANDBY, autoStartUrl: 'rtmp://127.0.0.1/auto' });
  const stream = registry.publish('show', publisher('p', 'h264'));
  await waitFor('the automatic push', () => listTransponders(manager).length === 1);
  await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live', standby: false });
  registry.end(stream, done);
  const [left, ...others] = manager.find({});
  t.equal(others.length, 0);
  t.match(left, { publisherAway: {} });
  registry.publish('show', publisher('q', 'h264'));
  await immediate();
  t.equal(manager.find({}).length, 1, 'the automatic push goes on');
  t.equal(manager.ended().length, 1, 'and no other one was tried');

  const ffmpeg = await setUp(t, { standby: undefined } as unknown as Partial<TransponderManagerOptions>);
  ffmpeg.registry.publish('show', publisher('p', 'h264'));
  await t.rejects(ffmpeg.manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live', standby: STANDBY }), {
    code: 'NOT_IMPLEMENTED',
  });
});

t.test('standby by hand', async (t) => {
  const { registry, clips, manager } = await setUp(t, {}, undefined, () => new TakingPusher());
  registry.publish('show', publisher('p', 'h264'));
  const [id, plain] = await Promise.all([
    manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/a', standby: STANDBY }),
    manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/b' }),
  ]).then((views) => views.map(({ mediaSessionId }) => mediaSessionId));
  const changes: unknown[] = [];
  manager.onChange(({ standby }) => changes.push(standby?.reason));
  await manager.standby(id!, true, { text: 'Back soon' });
  await waitFor('the clip with the text', () => clips.orders.at(-1)?.picture.text === 'Back soon');
  await waitFor('its state', () => manager.find({ mediaSessionId: id! })[0]!.standby?.reason === 'manual');
  await manager.standby(id!, undefined, { source: 'image', file: 'a.png' });
  await waitFor('the image with the text', () => clips.orders.at(-1)?.picture.source === 'image');
  t.match(clips.orders.at(-1), { picture: { file: 'a.png', text: 'Back soon' } }, 'what is not named stays');
  clips.fail = new GatewayError('INVALID_REQUEST', 'no such file');
  await t.rejects(manager.standby(id!, false, { file: 'b.png' }), { message: 'no such file' });
  t.match(manager.find({ mediaSessionId: id! }), [{ standby: { reason: 'manual' } }], 'nothing has changed');
  await manager.standby(id!, false, {});
  await waitFor('another reason', () => manager.find({ mediaSessionId: id! })[0]!.standby?.reason !== 'manual');
  await t.rejects(manager.standby(plain!, true, {}), { code: 'INVALID_REQUEST', message: /standby/ });
  await t.rejects(manager.standby('nobody', true, {}), { code: 'TRANSPONDER_NOT_FOUND' });
  t.ok(changes.includes('manual'));
});

t.test('a backup: checked like the first destination, and taken like it', async (t) => {
  const resolved: string[] = [];
  const { registry, manager } = await setUp(t, { maxTransponders: 2 }, async ({ host }) => {
    resolved.push(host);
    if (host === '10.0.0.1') throw new GatewayError('DESTINATION_FORBIDDEN', 'Pushing to 10.0.0.1 is not allowed.');
    return { addresses: ['127.0.0.1'] };
  });
  registry.publish('show', publisher('p', 'h264'));
  const start = (backupUrl: string, rtmpUrl = 'rtmp://a.example.com/live', more: Partial<StartRequest> = {}) =>
    manager.start({ streamName: 'show', rtmpUrl, backupUrl, ...more });
  await t.rejects(start('http://b.example.com/live'), { code: 'INVALID_RTMP_URL', message: /^backupUrl has a scheme/ });
  await t.rejects(start('rtmp://A.example.com:1935/live/'), { code: 'INVALID_REQUEST', message: /backupUrl/ });
  await t.rejects(start('rtmp://10.0.0.1/live'), { code: 'DESTINATION_FORBIDDEN' });
  resolved.length = 0;
  const view = await start('rtmp://b.example.com/s3cr3t');
  t.strictSame(resolved, ['a.example.com', 'b.example.com']);
  t.match(view, {
    status: 'connecting',
    backupMode: 'hot',
    legs: [
      { leg: 'primary', status: 'connecting', destination: 'rtmp://a.example.com/live' },
      { leg: 'backup', status: 'connecting', destination: 'rtmp://b.example.com/s3cr3t' },
    ],
  });
  await t.rejects(start('rtmp://c.example.com/live'), { code: 'TRANSPONDER_EXISTS' });
  await t.rejects(start('rtmp://b.example.com/s3cr3t', 'rtmp://d.example.com/live'), { code: 'TRANSPONDER_EXISTS' });
  await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://e.example.com/live' });
  await t.rejects(manager.start({ streamName: 'show', rtmpUrl: 'rtmp://f.example.com/live' }), {
    code: 'LIMIT_REACHED',
    message: /already runs 2 pushes/,
  });
  await manager.terminate(view.mediaSessionId);
  t.match(manager.ended()[0], { legs: [{ status: 'ended' }, { status: 'ended' }] });
  t.match(await start('rtmp://b.example.com/s3cr3t', undefined, { backupMode: 'cold' }), {
    legs: [{ status: 'connecting' }, { leg: 'backup', status: 'idle' }],
  });
});

t.test('pushes with standby go on over a restart, and the history does not contradict', async (t) => {
  const store = new MemoryStore({ logger: silentLogger });
  const box = SecretBox.withRandomKey();
  /** A run of the gateway. */
  const run = async () => {
    const stored = new StoredPushes({ store, box, parse: (value) => value as StartRequest, logger: silentLogger });
    const history = await TransponderHistory.create({ store, box, kept: 10, logger: silentLogger });
    const parts = await setUp(t, { stored, history });
    parts.registry.publish('show', publisher('p', 'h264'));
    const changes: string[] = [];
    parts.manager.onChange(({ mediaSessionId, status }) => changes.push(`${mediaSessionId} ${status}`));
    return { ...parts, stored, history, changes };
  };
  const standby = { freezeMs: 0, source: 'color', color: '#000000', holdMs: 0, startWithStandby: false } as const;
  const first = await run();
  const rtmpUrl = 'rtmp://a.example.com/live';
  const kept = await first.manager.start({
    streamName: 'show',
    rtmpUrl,
    backupUrl: 'rtmp://b.example.com/live',
    standby,
  });
  first.manager.mute(kept.mediaSessionId);
  const plain = await first.manager.start({ streamName: 'show', rtmpUrl: 'rtmp://c.example.com/live' });
  const ended = await first.manager.start({ streamName: 'show', rtmpUrl: 'rtmp://d.example.com/live', standby });
  await first.manager.terminate(ended.mediaSessionId);
  const gone = await first.manager.start({ streamName: 'gone', rtmpUrl, standby }).catch((error: unknown) => error);
  t.match(gone, { code: 'STREAM_NOT_FOUND' });
  await first.manager.close(done);
  await Promise.all([first.stored.close(), first.history.close()]);

  const second = await run();
  t.strictSame(
    second.manager.ended().map(({ mediaSessionId }) => mediaSessionId),
    [plain.mediaSessionId, ended.mediaSessionId],
    'one that goes on has not ended',
  );
  await second.stored.restore(second.manager);
  const [found, ...others] = second.manager.find({});
  t.match(found, {
    mediaSessionId: kept.mediaSessionId,
    startedAt: kept.startedAt,
    muted: true,
    legs: [{ leg: 'primary' }, { leg: 'backup' }],
  });
  t.strictSame(others, []);
  await second.manager.terminate(kept.mediaSessionId);
  t.match(second.manager.ended()[0], { mediaSessionId: kept.mediaSessionId, reasonCode: 'TERMINATED' });

  const last = await second.manager.start({ streamName: 'show', rtmpUrl, standby });
  await second.manager.close(done);
  await Promise.all([second.stored.close(), second.history.close()]);
  const third = await run();
  third.clips.fail = new GatewayError('STANDBY_FILE_NOT_FOUND', 'no such file');
  await third.stored.restore(third.manager);
  t.match(third.manager.ended()[0], { mediaSessionId: last.mediaSessionId, reasonCode: 'STANDBY_FILE_NOT_FOUND' });
  t.strictSame(third.changes, [`${last.mediaSessionId} ended`], 'also as an event');
  const fourth = await run();
  await fourth.stored.restore(fourth.manager);
  t.throws(() => fourth.manager.find({}), { code: 'TRANSPONDER_NOT_FOUND' }, 'removed');
});

t.test('a push to a known platform is watched, whether it names it or its host', async (t) => {
  const { registry, encoders, manager } = await setUp(t);
  registry.publish('show', publisher('p', 'h264'));
  const plain = await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live' });
  t.notOk('platform' in plain || 'warnings' in plain || 'comply' in plain);
  t.match(await manager.start({ streamName: 'show', rtmpUrl: 'rtmp://live.twitch.tv/app' }), {
    platform: 'twitch',
    warnings: [],
  });
  const named = await manager.start({
    streamName: 'show',
    rtmpUrl: 'rtmp://127.0.0.2/live',
    platform: 'youtube',
    comply: 'auto',
  });
  t.match(named, { platform: 'youtube', warnings: [], comply: { mode: 'auto', state: 'passing', because: [] } });
  t.equal(encoders.counts.videoEncoders, 0);
  await manager.close(done);
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
});

t.test('comply needs a platform and encoders', async (t) => {
  const { registry, encoders, manager } = await setUp(t);
  registry.publish('show', publisher('p', 'h264'));
  await t.rejects(manager.start({ streamName: 'show', rtmpUrl: 'rtmp://127.0.0.1/live', comply: 'auto' }), {
    code: 'INVALID_REQUEST',
    message: /^comply needs a platform .*youtube, twitch/,
  });
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
  const disabled = new EncoderPool({
    audioBitrate: 128,
    audioBatchMs: 120,
    videoBitrate: 0,
    keyFrameIntervalMs: 2000,
    transcodingDisabled: true,
    maxEncoders: 1,
    logger: silentLogger,
  });
  const second = await setUp(t, { encoders: disabled });
  second.registry.publish('show', publisher('p', 'h264'));
  await t.rejects(second.manager.start({ streamName: 'show', rtmpUrl: 'rtmp://live.twitch.tv/app', comply: 'auto' }), {
    code: 'TRANSCODING_DISABLED',
  });
  t.strictSame(disabled.counts, { sources: 0, videoEncoders: 0 });
});

t.test('a check starts nothing', async (t) => {
  const { manager, encoders } = await setUp(t, {
    wire: {
      check: async ({ host }) => [{ check: 'tcp', level: 'ok', measured: host, rule: '', source: '', remedy: '' }],
    },
  });
  const { signal } = new AbortController();
  t.match(await manager.check({ streamName: 'nobody', rtmpUrl: 'rtmp://127.0.0.1/live' }, signal), [
    { check: 'stream', level: 'error', measured: 'the stream is not published' },
    { check: 'tcp', measured: '127.0.0.1' },
  ]);
  await t.rejects(manager.check({ streamName: 'nobody', rtmpUrl: 'http://127.0.0.1/' }, signal), {
    code: 'INVALID_RTMP_URL',
  });
  await t.rejects(manager.check({ streamName: 'nobody', rtmpUrl: 'rtmp://127.0.0.1/live', comply: 'auto' }, signal), {
    code: 'INVALID_REQUEST',
    message: /^comply needs/,
  });
  t.strictSame(listTransponders(manager), []);
  t.strictSame(encoders.counts, { sources: 0, videoEncoders: 0 });
});
