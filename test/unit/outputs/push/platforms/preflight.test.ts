import { EventEmitter } from 'node:events';
import t from 'tap';
import { GatewayError } from '../../../../../src/errors.ts';
import { TAG_VIDEO, type FlvTag } from '../../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../../src/media/containers/tag-group.ts';
import { StreamMeter } from '../../../../../src/media/stream-meter.ts';
import { parseDestination } from '../../../../../src/net/destination.ts';
import { PlatformCatalogue } from '../../../../../src/outputs/push/platforms/catalogue.ts';
import { Preflight, type PreflightParts } from '../../../../../src/outputs/push/platforms/preflight.ts';
import { verdict } from '../../../../../src/outputs/push/platforms/verdict.ts';
import type { Rendition } from '../../../../../src/renditions/rendition.ts';
import { FakeClock } from '../../../../helpers/fake-clock.ts';
import { createFlvTags } from '../../../../helpers/flv-source.ts';
import { waitFor } from '../../../../helpers/wait.ts';

const catalogue = PlatformCatalogue.create();
const tags = (await createFlvTags({ seconds: 5, size: '640x360', videoBitrate: '500k' })).filter(
  ({ type }) => type !== 18,
);

class FakeRendition extends EventEmitter {
  keyFramesRequested = 0;
  released = 0;
  readonly videoHeader: FlvTag | undefined = tags.find((tag) => tag.type === TAG_VIDEO && tag.sequenceHeader);
  readonly audioHeader: FlvTag | undefined = tags.find((tag) => tag.type !== TAG_VIDEO && tag.sequenceHeader);
  requestKeyFrame(): void {
    this.keyFramesRequested++;
  }
  play(): void {
    this.emit('tags', new TagGroup(tags.filter((tag) => !tag.sequenceHeader)));
  }
}

function setUp(parts: Partial<PreflightParts> = {}) {
  const rendition = new FakeRendition();
  const clock = new FakeClock();
  const preflight = new Preflight({
    wire: { check: async () => [verdict('tcp', 'ok', '1 ms')] },
    parse: (_, url) => parseDestination(url, 'cam', { streamNamePrefix: '', fullUrl: true }),
    platformOf: (_, { host }) => catalogue.ofHost(host),
    acquire: async () => ({
      rendition: rendition as unknown as Rendition,
      release: async () => void rendition.released++,
    }),
    meterOf: () => undefined,
    measureMs: 300,
    clock,
    ...parts,
  });
  return { rendition, preflight, clock };
}

const request = { streamName: 'cam', rtmpUrl: 'rtmps://a.rtmps.youtube.com/live2/key' };
const signal = new AbortController().signal;

t.test('the stream is measured for a bounded time, judged by the rules of the host, and let go', async (t) => {
  const { rendition, preflight, clock } = setUp();
  const checking = preflight.check(request, signal);
  await waitFor('the measurement', () => rendition.listenerCount('tags') === 1, { every: 5 });
  rendition.play();
  await clock.passSettled(300);
  const verdicts = await checking;
  t.match(verdicts[0], { check: 'stream', level: 'ok', measured: /measured for (4\.9|5\.0) s instead of 10 s/ });
  t.match(
    verdicts.find(({ check }) => check === 'keyFrameInterval'),
    { level: 'ok', measured: '1.0 s', rule: /hard|recommended/, source: /checked/ },
  );
  t.match(
    verdicts.find(({ check }) => check === 'videoSize'),
    { measured: '640x360' },
  );
  t.match(verdicts.at(-1), { check: 'tcp' });
  t.equal(rendition.released, 1);
  t.equal(rendition.listenerCount('tags') + rendition.listenerCount('failed'), 0);
  t.equal(rendition.keyFramesRequested, 1);
});

t.test('a stream that is measured already is judged at once', async (t) => {
  const meter = new StreamMeter();
  for (const tag of tags) meter.take(tag);
  const { rendition, preflight } = setUp({ meterOf: () => meter, measureMs: 1e6 });
  t.match(await preflight.check(request, signal), [{ check: 'stream', level: 'ok' }]);
  t.equal(rendition.keyFramesRequested, 0);
});

t.test('streams that cannot be measured', async (t) => {
  const fail = (code: 'STREAM_NOT_FOUND' | 'TRANSCODING_DISABLED') => ({
    acquire: async () => {
      throw new GatewayError(code, `the reason ${code}`);
    },
  });
  t.match(await setUp(fail('STREAM_NOT_FOUND')).preflight.check(request, signal), [
    { check: 'stream', level: 'error', measured: 'the stream is not published', remedy: /Publish/ },
    { check: 'tcp' },
  ]);
  t.match(await setUp(fail('TRANSCODING_DISABLED')).preflight.check(request, signal), [
    { check: 'stream', level: 'error', measured: 'the reason TRANSCODING_DISABLED' },
  ]);
  t.match(await setUp({ measureMs: 0 }).preflight.check(request, signal), [
    { check: 'stream', level: 'error', measured: /no media has arrived/ },
  ]);
  const { rendition, preflight, clock } = setUp({ measureMs: 1e6 });
  const checking = preflight.check(request, signal);
  await waitFor('the measurement', () => rendition.listenerCount('failed') === 1, { every: 5 });
  rendition.emit('failed', new GatewayError('STREAM_STOPPED', 'it stopped'));
  await clock.passSettled(1000);
  t.match(await checking, [{ check: 'stream', level: 'error', measured: 'it stopped' }]);
  t.equal(rendition.released, 1);
});

t.test('other destinations: what was measured, without rules; a backup server is checked too', async (t) => {
  const { rendition, preflight, clock } = setUp();
  const checking = preflight.check(
    { ...request, rtmpUrl: 'rtmp://example.org/live/key', backupUrl: 'rtmp://b.example.org/live/key' },
    signal,
  );
  await waitFor('the measurement', () => rendition.listenerCount('tags') === 1, { every: 5 });
  rendition.play();
  await clock.passSettled(300);
  const verdicts = await checking;
  t.ok(verdicts.every(({ level, rule }) => level === 'ok' && rule === ''));
  t.ok(verdicts.some(({ check }) => check === 'videoBitrate'));
  t.strictSame(
    verdicts.slice(-2).map(({ check }) => check),
    ['tcp', 'backup.tcp'],
  );
});

t.test('a client that leaves ends the measurement; the number of checks is limited', async (t) => {
  const left = new AbortController();
  const { rendition, preflight } = setUp({ measureMs: 1e6, maxAtOnce: 1 });
  const checking = preflight.check(request, left.signal);
  await t.rejects(preflight.check(request, signal), { code: 'LIMIT_REACHED' });
  left.abort();
  await t.rejects(checking, { name: 'AbortError' });
  await waitFor('the release', () => rendition.released === 1, { every: 5 });
  const { preflight: next } = setUp({ measureMs: 0, maxAtOnce: 1 });
  await next.check(request, signal);
  await t.resolves(next.check(request, signal), 'a check that is over does not count');
});
