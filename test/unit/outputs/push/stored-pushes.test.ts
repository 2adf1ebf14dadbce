import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { z } from 'zod';
import { GatewayError } from '../../../../src/errors.ts';
import { createLogger, silentLogger } from '../../../../src/observe/logger.ts';
import { StoredPushes, type RestoredPushes } from '../../../../src/outputs/push/record/stored-pushes.ts';
import type { PushIdentity } from '../../../../src/outputs/push/transponder-start.ts';
import type { StandbyRequest, StartRequest } from '../../../../src/outputs/push/transponder-control.ts';
import { MemoryStore } from '../../../../src/store/memory-store.ts';
import { SecretBox } from '../../../../src/store/secret-box.ts';
import { openState } from '../../../../src/store/state.ts';
import type { Store } from '../../../../src/store/store.ts';
import { viewOf } from '../../../helpers/fake-transponders.ts';
import { waitFor } from '../../../helpers/wait.ts';

const standby: StandbyRequest = {
  freezeMs: 2000,
  source: 'color',
  color: '#000000',
  holdMs: 60_000,
  startWithStandby: false,
};
const request: StartRequest = {
  streamName: 'show',
  rtmpUrl: 'rtmp://user:S3CRET@a.example.com/live',
  backupUrl: 'rtmp://b.example.com/S3CRET-KEY',
  standby,
};
const startedAt = new Date('2026-01-02T03:04:05.678Z');
const terminated = { reasonCode: 'TERMINATED', status: 'ended' } as const;
const shuttingDown = { reasonCode: 'SHUTTING_DOWN', status: 'ended' } as const;

interface Continued {
  readonly request: StartRequest;
  readonly continued: PushIdentity;
}

/** What the manager does, recorded; `fail` decides whether a start fails. */
function manager(fail: (request: StartRequest) => GatewayError | undefined = () => undefined) {
  const started: Continued[] = [];
  const muted: string[] = [];
  const held: string[] = [];
  const abandoned: (Continued & { readonly code: string })[] = [];
  const pushes: RestoredPushes = {
    start: async (request, _origin, identity) => {
      const continued = identity!;
      const error = fail(request);
      if (error) throw error;
      started.push({ request, continued });
      return viewOf(request, { mediaSessionId: continued.mediaSessionId });
    },
    mute: (id) => void muted.push(id),
    unmute: () => undefined,
    soundOn: async () => undefined,
    soundOff: () => undefined,
    standby: async (id, on) => void (on && held.push(id)),
    abandon: (request, continued, { code }) => void abandoned.push({ request, continued, code }),
  };
  return { pushes, started, muted, held, abandoned };
}

function setUp(t: Test, store: Store = new MemoryStore({ logger: silentLogger }), box = SecretBox.withRandomKey()) {
  const open = (more: { parse?: (value: unknown) => StartRequest; lines?: string[] } = {}): StoredPushes => {
    const { lines, parse = (value) => value as StartRequest } = more;
    const logger = lines
      ? createLogger(
          { log_level: 'info', log_format: 'json' },
          { destination: { write: (line) => void lines.push(line) } },
        )
      : silentLogger;
    const pushes = new StoredPushes({ store, box, parse, logger, retryMs: 5 });
    t.teardown(() => pushes.close());
    return pushes;
  };
  const keys = async (): Promise<string[]> => (await store.records('pushes', z.string()).list()).map(({ key }) => key);
  return { store, open, keys };
}

t.test('a push with standby is continued under its id, in standby', async (t) => {
  const { open } = setUp(t);
  const first = open();
  first.started('id', request, startedAt);
  first.started('other', { streamName: 'show', rtmpUrl: 'rtmp://c.example.com/live' }, startedAt);
  await first.settled();
  const { pushes, started, muted } = manager();
  const before = Date.now();
  await open().restore(pushes);
  t.equal(started.length, 1, 'only the one with standby');
  t.match(started[0], {
    request: { ...request, standby: { ...standby, startWithStandby: true } },
    continued: { mediaSessionId: 'id', startedAt },
  });
  t.ok(started[0]!.continued.awaySince!.getTime() >= before, 'a publisher that was there is lost from now on');
  t.strictSame(muted, []);
});

t.test('a push that has ended is forgotten; one that ends with the gateway is not', async (t) => {
  const { open, keys } = setUp(t);
  const first = open();
  first.started('a', request, startedAt);
  first.started('b', request, startedAt);
  t.equal(first.ended(viewOf(request, { mediaSessionId: 'a', ...terminated })), false);
  t.equal(first.ended(viewOf(request, { mediaSessionId: 'b', ...shuttingDown })), true, 'it goes on');
  t.equal(first.ended(viewOf(request, { mediaSessionId: 'never-stored', ...shuttingDown })), false);
  await first.close();
  t.strictSame(await keys(), ['b']);
});

t.test('what was changed by hand is kept', async (t) => {
  const { open } = setUp(t);
  const first = open();
  for (const id of ['muted', 'looped', 'once', 'stopped', 'text', 'held', 'released'])
    first.started(id, request, startedAt);
  first.changed(viewOf(request, { mediaSessionId: 'muted', muted: true }));
  first.soundOn('looped', 'a.wav', true);
  first.changed(viewOf(request, { mediaSessionId: 'looped', muted: true, soundEnabled: true }));
  first.soundOn('once', 'a.wav', false);
  first.changed(viewOf(request, { mediaSessionId: 'once', soundEnabled: true }));
  first.soundOn('stopped', 'a.wav', true);
  first.changed(viewOf(request, { mediaSessionId: 'stopped', soundEnabled: false }));
  for (const id of ['held', 'released']) first.standby(id, true, {});
  first.standby('released', false, {});
  first.standby('text', undefined, { text: 'Back soon' });
  await first.settled();
  const { pushes, started, muted, held } = manager();
  await open().restore(pushes);
  const byId = new Map(started.map(({ request, continued }) => [continued.mediaSessionId, request]));
  t.strictSame(byId.get('muted')!.options, { action: 'mute' });
  t.strictSame(byId.get('looped')!.options, { action: 'sound_on', soundFile: 'a.wav', loop: true });
  t.strictSame(muted.sort(), ['looped', 'muted'], 'muted as well as a sound file');
  t.equal(byId.get('once')!.options, undefined, 'a sound is not played twice');
  t.equal(byId.get('stopped')!.options, undefined);
  t.match(byId.get('text')!.standby, { text: 'Back soon' });
  t.strictSame(held, ['held']);
});

t.test('a push that was started muted and unmuted later is not muted again', async (t) => {
  const { open, store } = setUp(t);
  const first = open();
  first.started('unmuted', { ...request, options: { action: 'mute' } }, startedAt);
  first.changed(viewOf(request, { mediaSessionId: 'unmuted' }));
  await first.settled();
  const { pushes, started, muted } = manager();
  await open().restore(pushes);
  t.equal(started[0]!.request.options, undefined);
  t.strictSame(muted, []);
  t.equal((await store.records('pushes', z.string()).list()).length, 1);
});

t.test('what an earlier version has stored is continued', async (t) => {
  const box = SecretBox.withRandomKey();
  const { open, store } = setUp(t, undefined, box);
  const old = {
    request: { ...request, options: { action: 'mute' } },
    startedAt: startedAt.toISOString(),
    muted: false,
  };
  await store.records('pushes', z.string()).put('id', box.seal(JSON.stringify({ ...old, held: true }), 'pushes/id'));
  const { pushes, started, held } = manager();
  await open().restore(pushes);
  t.match(started, [{ request: { rtmpUrl: request.rtmpUrl, backupUrl: request.backupUrl }, continued: { startedAt } }]);
  t.equal(started[0]!.request.options, undefined);
  t.strictSame(held, ['id']);
});

t.test('a node of a cluster removes what it has stored alone', async (t) => {
  const { open, keys } = setUp(t);
  const first = open();
  first.started('id', request, startedAt);
  await first.settled();
  const lines: string[] = [];
  await open({ lines }).forget();
  t.strictSame(await keys(), []);
  t.match(lines.join(), /"pushes":1/);
});

t.test('the time without a publisher goes on over the restart', async (t) => {
  const { open, keys } = setUp(t);
  const first = open();
  const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();
  for (const [id, ms] of [
    ['held', 20_000],
    ['late', 61_000],
    ['endless', 999_000],
  ] as const) {
    const holdMs = id === 'endless' ? 0 : 60_000;
    first.started(id, { ...request, standby: { ...standby, holdMs } }, startedAt);
    first.changed(viewOf(request, { mediaSessionId: id, publisherAway: { since: ago(ms), until: ago(0) } }));
  }
  first.started('returned', request, startedAt);
  first.changed(viewOf(request, { mediaSessionId: 'returned', publisherAway: { since: ago(61_000), until: ago(0) } }));
  first.changed(viewOf(request, { mediaSessionId: 'returned' }));
  await first.settled();
  const { pushes, started, abandoned } = manager();
  const second = open();
  await second.restore(pushes);
  const away = new Map(
    started.map(({ continued }) => [continued.mediaSessionId, Date.now() - continued.awaySince!.getTime()]),
  );
  t.strictSame([...away.keys()].sort(), ['endless', 'held', 'returned']);
  t.ok(away.get('held')! >= 20_000 && away.get('held')! < 25_000);
  t.ok(away.get('returned')! < 5000, 'lost with the gateway');
  t.match(abandoned, [{ code: 'PUBLISHER_LOST', continued: { mediaSessionId: 'late', startedAt } }]);
  await second.settled();
  t.strictSame(await keys(), ['endless', 'held', 'returned']);
});

t.test('what cannot be continued is tried again or removed, by the kind of error', async (t) => {
  const { open, keys } = setUp(t);
  const first = open();
  first.started('forbidden', { ...request, streamName: 'forbidden' }, startedAt);
  first.started('dns', { ...request, streamName: 'dns' }, startedAt);
  first.started('busy', { ...request, streamName: 'busy' }, startedAt);
  await first.settled();
  let attempts = 0;
  const { pushes, started, abandoned } = manager(({ streamName }) => {
    if (streamName === 'forbidden') return new GatewayError('DESTINATION_FORBIDDEN', 'not allowed');
    if (++attempts > 4) return undefined;
    return new GatewayError(streamName === 'dns' ? 'DESTINATION_NOT_RESOLVED' : 'LIMIT_REACHED', 'not now');
  });
  const lines: string[] = [];
  await open({ lines }).restore(pushes);
  t.match(abandoned, [{ code: 'DESTINATION_FORBIDDEN' }]);
  await waitFor('the others to start', () => started.length === 2, { every: 1 });
  t.strictSame((await keys()).sort(), ['busy', 'dns']);
  t.match(lines.join(), /cannot be continued and is removed.*|will be tried again/);
  t.notMatch(lines.join(), /S3CRET/);
});

t.test('a gateway that is shut down meanwhile keeps what it could not continue', async (t) => {
  const { open, keys } = setUp(t);
  const first = open();
  first.started('id', request, startedAt);
  await first.settled();
  const { pushes, abandoned } = manager(() => new GatewayError('SHUTTING_DOWN', 'closing'));
  const second = open();
  await second.restore(pushes);
  await second.close();
  t.strictSame(abandoned, []);
  t.strictSame(await keys(), ['id']);
});

t.test('a record that is damaged, or that this version does not understand, is removed', async (t) => {
  const { open, keys, store } = setUp(t);
  const first = open();
  first.started('odd', request, startedAt);
  await first.settled();
  await store.records('pushes', z.string()).put('damaged', 'v1.x.y');
  const lines: string[] = [];
  const { pushes, started } = manager();
  const second = open({ lines, parse: (value) => z.object({ streamName: z.number() }).parse(value) as never });
  await second.restore(pushes);
  await second.close();
  t.strictSame(started, []);
  t.strictSame(await keys(), []);
  t.equal(lines.length, 2);
  t.notMatch(lines.join(), /S3CRET/);
});

t.test('no secret is on the disk', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'stored-pushes-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const { store, box } = await openState({ directory, key: '', logger: silentLogger });
  const { open } = setUp(t, store, box);
  const pushes = open();
  pushes.started('id', request, startedAt);
  await pushes.close();
  await store.close();
  t.notMatch(await readFile(join(directory, 'state.db'), 'latin1'), /S3CRET|example\.com/);

  const again = await openState({ directory, key: '', logger: silentLogger });
  const { pushes: control, started } = manager();
  const second = new StoredPushes({ ...again, parse: (value) => value as StartRequest, logger: silentLogger });
  await second.restore(control);
  t.match(started, [{ request: { rtmpUrl: request.rtmpUrl, backupUrl: request.backupUrl } }]);
  await second.close();
  await again.store.close();
});

t.test('a process that is killed leaves its pushes to the next one', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'stored-pushes-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const source = (path: string): string => JSON.stringify(new URL(`../../../../src/${path}`, import.meta.url).href);
  const script = `
    const { openState } = await import(${source('store/state.ts')});
    const { StoredPushes } = await import(${source('outputs/push/record/stored-pushes.ts')});
    const { silentLogger: logger } = await import(${source('observe/logger.ts')});
    const state = await openState({ directory: ${JSON.stringify(directory)}, key: '', logger });
    const pushes = new StoredPushes({ ...state, parse: (value) => value, logger });
    pushes.started('id', ${JSON.stringify(request)}, new Date(${startedAt.getTime()}));
    await pushes.settled();
    process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
  t.equal(signal, 'SIGKILL');
  const state = await openState({ directory, key: '', logger: silentLogger });
  const { pushes, started } = manager();
  const second = new StoredPushes({ ...state, parse: (value) => value as StartRequest, logger: silentLogger });
  await second.restore(pushes);
  t.match(started, [{ request: { rtmpUrl: request.rtmpUrl }, continued: { mediaSessionId: 'id', startedAt } }]);
  await second.close();
  await state.store.close();
});
