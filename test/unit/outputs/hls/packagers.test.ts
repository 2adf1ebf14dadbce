import { EventEmitter } from 'node:events';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { GatewayError } from '../../../../src/errors.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { Metrics } from '../../../../src/observe/metrics.ts';
import { Packagers } from '../../../../src/outputs/hls/packagers.ts';
import type { EncoderPool } from '../../../../src/renditions/encoder-pool.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import { fakePublisher } from '../../../helpers/fake-publisher.ts';

const VIEWER = { address: '192.0.2.1' };

function setUp(t: Test, settings: Record<string, string> = {}, now?: () => number) {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const counts = { acquired: 0, released: 0 };
  const rendition = Object.assign(new EventEmitter(), {
    hasVideo: true,
    metadata: {},
    recent: undefined,
    requestKeyFrame: () => undefined,
  });
  const encoders = {
    acquire: async () => {
      counts.acquired++;
      return { rendition, release: async () => void counts.released++ };
    },
  } as unknown as EncoderPool;
  const overload = { overloaded: false };
  const parsed = SettingsSchema.parse({ hls: 'true', ...settings });
  const metrics = new Metrics();
  const packagers = Packagers.create(parsed, {
    ...{ registry, encoders, overload, metrics, logger: silentLogger },
    ...(now && { now }),
  });
  const end = () => packagers.close(new GatewayError('SHUTTING_DOWN', 'closing'));
  t.teardown(end);
  return {
    registry,
    counts,
    overload,
    packagers,
    metrics,
    end,
    publish: (name: string) => registry.publish(name, fakePublisher({})),
  };
}

t.test('one packager for all viewers of a stream; it ends with the stream', async (t) => {
  const { registry, counts, packagers, publish } = setUp(t);
  await t.rejects(packagers.open('a', 'a', undefined, VIEWER), { code: 'STREAM_NOT_FOUND' });
  const stream = publish('a');
  const [first, second] = await Promise.all([
    packagers.open('a', 'a', undefined, VIEWER),
    packagers.open('b', 'a', undefined, VIEWER),
  ]);
  t.equal(first.ladder, second.ladder);
  t.not(first.token, second.token);
  t.equal(counts.acquired, 1);
  registry.end(stream, new GatewayError('STREAM_STOPPED', 'stopped'));
  t.match(first.ladder.failure, { code: 'STREAM_STOPPED' });
  await t.rejects(
    first.ladder.multivariant(() => 'x'),
    { code: 'STREAM_STOPPED' },
    'there was no media',
  );
  t.equal(counts.released, 1);
});

t.test('limits and overload', async (t) => {
  const { counts, overload, packagers, publish, metrics, end } = setUp(t, {
    max_hls_streams: '1',
    max_hls_viewers: '2',
  });
  publish('a');
  publish('b');
  overload.overloaded = true;
  await t.rejects(packagers.open('a', 'a', undefined, VIEWER), { code: 'OVERLOADED' });
  overload.overloaded = false;
  await packagers.open('a', 'a', undefined, VIEWER);
  await t.rejects(packagers.open('b', 'b', undefined, VIEWER), { code: 'LIMIT_REACHED', message: /max_hls_streams/ });
  overload.overloaded = true;
  await packagers.open('a', 'a', undefined, VIEWER);
  const other = { address: '192.0.2.2' };
  await t.rejects(packagers.open('a', 'a', undefined, other), { code: 'LIMIT_REACHED', message: /max_hls_viewers/ });
  t.match(await metrics.render(), /gateway_hls_streams 1\n[^]*gateway_hls_viewers 2\n/);
  await end();
  await end();
  t.equal(counts.released, 1);
});

t.test('without viewers a packager ends, unless hls_always is set', async (t) => {
  mock.timers.enable({ apis: ['setInterval', 'Date'], now: 0 });
  t.teardown(() => mock.timers.reset());
  const idle = setUp(t, { hls_idle_s: '5' }, Date.now);
  const always = setUp(t, { hls_always: 'true', hls_idle_s: '5' });
  idle.publish('a');
  always.publish('a');
  const { ladder } = await idle.packagers.open('a', 'a', undefined, VIEWER);
  mock.timers.tick(10_000);
  t.equal(ladder.status, 'packaging', 'the viewer may still ask');
  mock.timers.tick(8_000);
  t.match(ladder.failure, { code: 'TERMINATED' });
  t.strictSame([idle.counts.released, always.counts], [1, { acquired: 1, released: 0 }]);
  t.not((await idle.packagers.open('a', 'a', undefined, VIEWER)).ladder, ladder, 'the next viewer starts another one');
});

t.test('a step of the wall clock ends no session and no packager, and moves no end of a token', async (t) => {
  for (const stepMs of [-3_600_000, 3_600_000]) {
    mock.timers.enable({ apis: ['setInterval'] });
    let nowMs = 0;
    let offsetMs = 10_000_000;
    const wall = mock.method(Date, 'now', () => nowMs + offsetMs);
    try {
      const { packagers, publish, counts } = setUp(t, { hls_idle_s: '5' }, () => nowMs);
      const pass = (ms: number) => {
        nowMs += ms;
        mock.timers.tick(ms);
      };
      publish('a');
      const limited = await packagers.open('a', 'a', Date.now() + 20_000, VIEWER);
      const { token, ladder } = await packagers.open('a', 'a', undefined, { address: '192.0.2.2' });
      const ask = (of: string) => packagers.sessions.run(of, 'a', packagers.now, async () => 'answer');
      t.equal(await ask(token), 'answer');
      offsetMs += stepMs;
      pass(5000);
      t.equal(await ask(token), 'answer', `${stepMs}`);
      t.equal(await ask(limited.token), 'answer', 'its token has 15 s left');
      t.equal(ladder.status, 'packaging');
      t.equal((await packagers.open('a', 'a', undefined, VIEWER)).ladder, ladder);
      pass(16_000);
      await t.rejects(ask(limited.token), { code: 'TOKEN_EXPIRED' });
      pass(31_000);
      await t.rejects(ask(token), { code: 'SESSION_NOT_FOUND' }, 'idle for 30 s');
      pass(6000);
      t.equal(ladder.status, 'ended');
      t.equal(counts.released, 1);
    } finally {
      wall.mock.restore();
      mock.timers.reset();
    }
  }
});
