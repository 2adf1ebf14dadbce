import t from 'tap';
import { PushRestore } from '../../../src/cluster/push-restore.ts';
import { StoredPushes, type StoredPush } from '../../../src/cluster/stored-pushes.ts';
import { StoringPushes } from '../../../src/cluster/storing-pushes.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { GatewayError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { standbyDefaults } from '../../../src/outputs/push/standby-defaults.ts';
import type { StartRequest } from '../../../src/outputs/push/transponder-control.ts';
import { SecretBox } from '../../../src/store/secret-box.ts';
import { LocalDirectory } from '../../../src/streams/directory.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { FakeTransponders } from '../../helpers/fake-transponders.ts';

const ORDER: StartRequest = { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live/secret-key' };
const KEY = Buffer.alloc(32, 7);

async function setUp(resumeKey: string | undefined = 'publisher') {
  const redis = new RedisModel(() => Date.now());
  const store = new ModelStore(redis);
  const claim = await store.claim('cam', { id: 'a', instance: 'a1' }, { ttlMs: 5000 });
  const epochs = new Map([['cam', claim.granted ? claim.epoch : 0]]);
  const stored = new StoredPushes({
    store,
    epochOf: (stream) => epochs.get(stream),
    box: new SecretBox(KEY),
    logger: silentLogger,
  });
  const ended: string[] = [];
  const given = new Set<string>();
  const control = Object.assign(new FakeTransponders(), {
    end: (id: string) => void ended.push(id),
    reachOf: (id: string) => (control.views.has(id) ? ('pushing' as const) : undefined),
    retry: () => undefined,
    closed: async () => undefined,
  });
  const pushes = new StoringPushes({
    control,
    stored,
    directory: new LocalDirectory(),
    resumeKeyOf: () => resumeKey,
    standbyDefaults: standbyDefaults(SettingsSchema.parse({})),
    isGiven: (stream) => given.has(stream),
    logger: silentLogger,
  });
  /** Another node, which has taken the name. */
  const elsewhere = async () => {
    const other = new ModelStore(redis);
    const taken = await other.claim('cam', { id: 'b', instance: 'b1' }, { ttlMs: 5000, replace: epochs.get('cam') });
    const epoch = taken.granted ? taken.epoch : 0;
    return new StoredPushes({ store: other, epochOf: () => epoch, box: new SecretBox(KEY), logger: silentLogger });
  };
  return { redis, store, epochs, stored, control, ended, given, pushes, elsewhere };
}

t.test('a push is stored before it is answered, without its key in plain text, and removed at its end', async (t) => {
  const { store, control, pushes, stored } = await setUp();
  const { mediaSessionId } = await pushes.start(ORDER);
  const inRedis = await store.pushes('cam');
  t.strictSame([...inRedis.keys()], [mediaSessionId]);
  t.notMatch([...inRedis.values()].join(), /secret-key/);
  t.strictSame(await stored.read('cam'), [
    { id: mediaSessionId, order: ORDER, resumeKey: 'publisher', startedAt: '2026-01-01T00:00:00.000Z', muted: false },
  ]);
  await pushes.terminate(mediaSessionId);
  await stored.flush();
  t.equal((await store.pushes('cam')).size, 0);
  t.match(control.calls, [
    ['start', ORDER],
    ['terminate', mediaSessionId],
  ]);
});

t.test('a push that is refused is not stored', async (t) => {
  const { store, control, pushes } = await setUp();
  control.fail = new GatewayError('DESTINATION_FORBIDDEN', 'no');
  await t.rejects(pushes.start(ORDER), { code: 'DESTINATION_FORBIDDEN' });
  t.equal((await store.pushes('cam')).size, 0);
});

t.test('the end of the gateway, or of its right to the name, leaves the push to another node', async (t) => {
  for (const reasonCode of ['SHUTTING_DOWN', 'STREAM_NAME_IN_USE', 'CLUSTER_UNAVAILABLE', 'NODE_LOST']) {
    const { store, control, pushes, stored } = await setUp();
    const view = await pushes.start(ORDER);
    control.change({ ...view, status: 'ended', reasonCode });
    await stored.flush();
    t.equal((await store.pushes('cam')).size, 1, reasonCode);
  }
});

t.test('a connection that the server ends for that of the new node leaves the push to that node', async (t) => {
  const { store, control, pushes, stored, given } = await setUp();
  const view = await pushes.start(ORDER);
  given.add('cam');
  control.change({ ...view, status: 'ended', reasonCode: 'DESTINATION_LOST' });
  await stored.flush();
  t.equal((await store.pushes('cam')).size, 1);
});

t.test('nobody sees a push that is prepared, until it is kept or dropped', async (t) => {
  const { store, control, pushes, stored, ended } = await setUp();
  // The fake gives this id to the first push that it starts.
  const push: StoredPush = {
    id: 'id-1',
    order: { ...ORDER, standby: {} },
    startedAt: '2026-01-01T00:00:00.000Z',
    muted: false,
  };
  const request: StartRequest = { ...ORDER, standby: standbyDefaults(SettingsSchema.parse({})) };
  await pushes.prepare(push, request);
  t.match(control.calls, [['start', { standby: { startWithStandby: true } }]]);
  t.ok(pushes.prepares('id-1'));
  t.throws(() => pushes.find({}), { code: 'TRANSPONDER_NOT_FOUND' });
  t.throws(() => pushes.mute('id-1'), { code: 'TRANSPONDER_NOT_FOUND' });
  await t.rejects(pushes.terminate('id-1'), { code: 'TRANSPONDER_NOT_FOUND' });
  t.equal((await store.pushes('cam')).size, 0, 'it is stored by the node that owns the stream');
  // It was muted at its former node meanwhile.
  await pushes.continue({ ...push, muted: true }, request);
  t.match(pushes.find({}), [{ mediaSessionId: 'id-1', muted: true }]);
  t.match(await stored.read('cam'), [{ id: 'id-1', muted: true }]);
  t.strictSame([...pushes.holding()], [['cam', ['id-1']]]);
  pushes.drop('id-1', new GatewayError('STREAM_NAME_IN_USE', 'elsewhere'));
  t.strictSame(ended, [], 'it is not prepared any more');
});

const STANDBY = standbyDefaults(SettingsSchema.parse({}));

/** What another node starts for a push of this one. */
async function takenOver(
  change: (pushes: StoringPushes, id: string) => Promise<void> | void,
  options?: StartRequest['options'],
) {
  const { pushes, stored, elsewhere } = await setUp();
  const { mediaSessionId: id } = await pushes.start({ ...ORDER, standby: STANDBY, ...(options && { options }) });
  await change(pushes, id);
  await stored.flush();
  const [push] = await (await elsewhere()).read('cam');
  const other = await setUp();
  await other.pushes.continue(push!, { ...push!.order, standby: STANDBY });
  return { push: push!, calls: other.control.calls.filter(([name]) => name !== 'find') };
}

t.test('a push has on another node the audio that it had, not the one that it was started with', async (t) => {
  const startedWith = async (...args: Parameters<typeof takenOver>): Promise<unknown> => {
    const [[, request]] = (await takenOver(...args)).calls as [[string, StartRequest]];
    return request.options;
  };
  const nothing = (): void => undefined;
  const mute = { action: 'mute' } as const;
  const file = { action: 'sound_on', soundFile: 'a.wav', loop: true } as const;
  t.strictSame(await startedWith(nothing, mute), mute);
  t.equal(await startedWith((pushes, id) => pushes.unmute(id), mute), undefined);
  t.strictSame(await startedWith((pushes, id) => pushes.mute(id)), mute);
  t.strictSame(await startedWith((pushes, id) => pushes.soundOn(id, 'a.wav', true)), file);
  t.strictSame(await startedWith((pushes, id) => pushes.soundOn(id, 'a.wav', true), mute), file);
  t.equal(await startedWith((pushes, id) => pushes.soundOn(id, 'a.wav', false)), undefined, 'it is not played twice');
  t.strictSame(await startedWith((pushes, id) => pushes.soundOn(id, 'a.wav', false), mute), mute);
  t.equal(await startedWith((pushes, id) => pushes.soundOff(id), file), undefined);
  const { calls } = await takenOver(async (pushes, id) => {
    await pushes.soundOn(id, 'a.wav', true);
    await pushes.standby(id, true, { text: 'Back soon' });
  }, mute);
  t.match(calls, [
    ['start', { options: file, standby: { startWithStandby: true } }],
    ['mute'],
    ['standby', String, true],
  ]);
});

t.test('what was changed while a push moved is changed on its new node', async (t) => {
  const { control, pushes, stored } = await setUp();
  const before: StoredPush = { id: 'id-1', order: { ...ORDER, standby: STANDBY }, muted: true, soundFile: 'a.wav' };
  await pushes.prepare(before, { ...ORDER, standby: STANDBY });
  const standby = { ...STANDBY, text: 'Back soon' };
  await pushes.continue({ ...before, order: { ...ORDER, standby }, muted: false, soundFile: 'b.wav' }, ORDER);
  t.match(
    control.calls.filter(([name]) => name !== 'find'),
    [
      ['start'],
      ['mute'],
      ['unmute'],
      ['soundOn', 'id-1', 'b.wav', true],
      ['standby', 'id-1', undefined, { text: 'Back soon' }],
    ],
  );
  t.match(await stored.read('cam'), [{ muted: false, soundFile: 'b.wav', order: { standby: { text: 'Back soon' } } }]);
});

t.test('a node without the sound file continues the push without it', async (t) => {
  const { control, pushes, stored } = await setUp();
  control.fail = new GatewayError('SOUND_FILE_NOT_FOUND', 'no');
  const push: StoredPush = { id: 'id-2', order: { ...ORDER, standby: STANDBY }, muted: true, soundFile: 'a.wav' };
  await pushes.continue(push, { ...ORDER, standby: STANDBY });
  t.match(control.calls, [
    ['start', { options: { soundFile: 'a.wav' } }],
    ['start', { options: { action: 'mute' } }],
    ['mute'],
  ]);
  const [kept] = await stored.read('cam');
  t.match(kept, { muted: true });
  t.notOk(kept!.soundFile);
});

t.test('what an earlier version has stored is read', async (t) => {
  const { store, epochs, stored } = await setUp();
  const put = async (id: string, push: object): Promise<void> => {
    const sealed = new SecretBox(KEY).seal(JSON.stringify(push), `cluster-push cam ${id}`);
    await store.putPush('cam', epochs.get('cam')!, id, sealed);
  };
  await put('a', { order: { ...ORDER, options: { action: 'mute' } }, resumeKey: 'publisher', muted: false });
  await put('b', { order: { ...ORDER, options: { action: 'mute' } }, startedAt: '2026-01-01T00:00:00.000Z' });
  await put('c', { resumeKey: 'publisher' });
  t.strictSame(await stored.read('cam'), [
    { id: 'a', order: ORDER, muted: false, resumeKey: 'publisher' },
    { id: 'b', order: ORDER, muted: true, startedAt: '2026-01-01T00:00:00.000Z' },
  ]);
});

t.test('a push that is dropped ends, and one that cannot be prepared is not hidden', async (t) => {
  const { control, pushes, stored, store, ended } = await setUp();
  const push: StoredPush = { id: 'id-1', order: { ...ORDER }, muted: false };
  const elsewhere = new GatewayError('STREAM_NAME_IN_USE', 'elsewhere');
  await store.putPush('cam', 9_999_999_999_999, 'id-1', 'of its node');
  await pushes.prepare(push, ORDER);
  pushes.drop('id-1', elsewhere);
  t.strictSame(ended, ['id-1']);
  control.change({ ...control.views.get('id-1')!, status: 'ended', reasonCode: elsewhere.code });
  await stored.flush();
  t.equal((await store.pushes('cam')).size, 1, 'it goes on elsewhere');
  control.fail = new GatewayError('TRANSPONDER_EXISTS', 'no');
  await t.rejects(pushes.prepare(push, ORDER), { code: 'TRANSPONDER_EXISTS' });
  t.notOk(pushes.prepares('id-1'));
});

t.test('what happens while Redis is away, or loses its data, is written when it is back', async (t) => {
  const { redis, store, pushes, stored } = await setUp();
  store.reachable = false;
  const first = await pushes.start(ORDER);
  const second = await pushes.start({ ...ORDER, rtmpUrl: 'rtmp://example.com/live/b' });
  await pushes.terminate(first.mediaSessionId);
  store.reachable = true;
  await stored.flush();
  t.strictSame([...(await store.pushes('cam')).keys()], [second.mediaSessionId]);
  redis.empty();
  store.reconnect();
  await stored.flush();
  t.strictSame([...(await store.pushes('cam')).keys()], [second.mediaSessionId]);
});

t.test('a node that has lost the name does not touch what the new owner stores', async (t) => {
  const { store, pushes, stored, elsewhere } = await setUp();
  const { mediaSessionId } = await pushes.start(ORDER);
  const other = await elsewhere();
  await other.started({ id: 'theirs', order: { ...ORDER }, muted: false });
  await pushes.terminate(mediaSessionId);
  await pushes.start({ ...ORDER, rtmpUrl: 'rtmp://example.com/live/late' });
  await stored.flush();
  t.strictSame([...(await store.pushes('cam')).keys()].sort(), [mediaSessionId, 'theirs'].sort());
});

t.test('stored pushes of another key or a damaged one are left out', async (t) => {
  const { store, epochs, pushes } = await setUp();
  await pushes.start(ORDER);
  await store.putPush('cam', epochs.get('cam')!, 'damaged', 'v1.x.y');
  const wrongKey = new StoredPushes({
    store,
    epochOf: () => 1,
    box: new SecretBox(Buffer.alloc(32, 8)),
    logger: silentLogger,
  });
  t.strictSame(await wrongKey.read('cam'), []);
});

async function restore(resumeKey: string | undefined, fail?: GatewayError) {
  const { store, pushes, elsewhere } = await setUp();
  const { mediaSessionId } = await pushes.start(ORDER);
  const stored = await elsewhere();
  const started: StoredPush[] = [];
  const refused: string[] = [];
  const restoring = new PushRestore({
    stored,
    start: async (push) => {
      if (fail) throw fail;
      started.push(push);
      await stored.started({ ...push, id: 'new-id' });
      return { mediaSessionId: 'new-id' };
    },
    refuse: (_, { code }) => refused.push(code),
    logger: silentLogger,
  });
  restoring.streamStarted('cam', resumeKey);
  await restoring.retry();
  await new Promise((resolve) => setImmediate(resolve));
  await stored.flush();
  return { started, refused, restoring, mediaSessionId, left: [...(await store.pushes('cam')).keys()] };
}

t.test('the pushes start again where the same publisher comes back', async (t) => {
  const { started, restoring, mediaSessionId, left } = await restore('publisher');
  t.match(started, [{ id: mediaSessionId, order: ORDER, resumeKey: 'publisher' }]);
  t.equal(restoring.restored, 1);
  t.strictSame(left, ['new-id'], 'in place of the old one');
});

t.test('another publisher of the name does not get them', async (t) => {
  for (const resumeKey of ['other', undefined]) {
    const { started, left } = await restore(resumeKey);
    t.strictSame(started, []);
    t.strictSame(left, []);
  }
});

t.test('a push that the publisher has requested again, or that fails, is not kept twice', async (t) => {
  for (const code of ['TRANSPONDER_EXISTS', 'DESTINATION_FORBIDDEN'] as const) {
    const { restoring, refused, left } = await restore('publisher', new GatewayError(code, 'no'));
    t.strictSame(refused, code === 'TRANSPONDER_EXISTS' ? [] : [code]);
    t.equal(restoring.restored, 0);
    t.strictSame(left, []);
  }
});
