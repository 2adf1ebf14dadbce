import { EventEmitter } from 'node:events';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Rendition, RenditionEvents } from '../../../../src/renditions/rendition.ts';
import { GatewayError } from '../../../../src/errors.ts';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import type { Pusher, PusherEvents, PushTarget } from '../../../../src/outputs/push/pusher.ts';
import { LateGroups } from '../../../../src/outputs/late-groups.ts';
import { createLogger } from '../../../../src/observe/logger.ts';
import { LiveStream, type Publisher } from '../../../../src/streams/live-stream.ts';
import { parseDestination } from '../../../../src/net/destination.ts';
import type { SoundClip } from '../../../../src/outputs/push/sound-library.ts';
import type { StartRequest } from '../../../../src/outputs/push/transponder-control.ts';
import type { PushIdentity, TransponderEnvironment } from '../../../../src/outputs/push/transponder-start.ts';
import { NAME_HELD_MS } from '../../../../src/outputs/push/leg-state.ts';
import { Transponder } from '../../../../src/outputs/push/transponder.ts';
import { waitFor } from '../../../helpers/wait.ts';

/** A connection that the test controls. */
class FakePusher extends EventEmitter<PusherEvents> implements Pusher {
  readonly addresses: readonly string[];
  readonly localAddress: string | undefined;
  readonly tcUrl: string;
  readonly written: FlvTag[] = [];
  writable = true;
  backlog = 0;
  readonly resumes: boolean | undefined;
  readonly ignoresSilence: boolean | undefined;
  closed = false;
  keepsTracks = false;

  constructor({ destination, addresses, localAddress, resumes, ignoresSilence }: PushTarget) {
    super();
    this.tcUrl = destination.tcUrl.reveal();
    this.addresses = addresses;
    this.localAddress = localAddress;
    this.resumes = resumes;
    this.ignoresSilence = ignoresSilence;
  }

  write({ tags }: TagGroup): void {
    this.written.push(...tags);
  }

  /** Takes longer than the delay before the next attempt. */
  async close(): Promise<void> {
    await sleep(5);
    this.closed = true;
  }
}

const video = (timestamp: number, keyFrame = false): FlvTag => ({
  type: TAG_VIDEO,
  timestamp,
  data: Buffer.alloc(100),
  keyFrame,
  sequenceHeader: false,
});
const audio = (timestamp: number): FlvTag => ({
  type: TAG_AUDIO,
  timestamp,
  data: Buffer.alloc(10, 1),
  keyFrame: false,
  sequenceHeader: false,
});

function setUp(overrides: Partial<TransponderEnvironment> = {}) {
  const pushers: FakePusher[] = [];
  const invalid: string[] = [];
  let released = 0;
  let keyFramesWanted = 0;
  const header: FlvTag = {
    type: TAG_VIDEO,
    timestamp: 0,
    data: Buffer.alloc(30),
    keyFrame: false,
    sequenceHeader: true,
  };
  const rendition = Object.assign(new EventEmitter<RenditionEvents>(), {
    metadata: { width: 640, height: 360 },
    videoHeader: header,
    audioHeader: { ...header, type: TAG_AUDIO },
    hasVideo: true,
    recent: undefined,
    requestKeyFrame: () => void keyFramesWanted++,
  }) as Rendition;
  const stream = new LiveStream('show', undefined);
  const environment: TransponderEnvironment = {
    createPusher: (target) => {
      const pusher = new FakePusher(target);
      pushers.push(pusher);
      return pusher;
    },
    resolve: async () => ({ addresses: ['192.0.2.2', '192.0.2.3'] }),
    retry: { enabled: true, attempts: 3, intervalMs: 1, capMs: 0 },
    outBuffer: { enabled: false, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
    pollingMs: 10,
    lateGroups: new LateGroups({ overloaded: false }),
    sendMetadata: true,
    silence: Buffer.alloc(5),
    flashVersion: 'FMLE/3.0',
    stallTimeoutMs: 1000,
    logger: silentLogger,
    onInvalidTransition: (status, event) => invalid.push(`${status} ${event}`),
    ...overrides,
  };
  const destinationOf = (url: string) => parseDestination(url, 'show', { streamNamePrefix: 'rtmp_', fullUrl: false });
  const start = (
    sound?: { clip: SoundClip; loop: boolean },
    more: Partial<StartRequest> = {},
    continued?: PushIdentity,
  ): Transponder =>
    Transponder.start(
      {
        request: { streamName: 'show', rtmpUrl: 'rtmp://u:secret@rtmp.example.com/live', ...more },
        stream,
        destination: destinationOf('rtmp://u:secret@rtmp.example.com/live'),
        lease: { rendition, release: async () => void released++ },
        addresses: ['192.0.2.1'],
        ...(sound && { sound: { loop: sound.loop, clips: new Map([['aac', sound.clip]]) } }),
        ...(continued && { continued }),
        ...(more.backupUrl && { backup: { destination: destinationOf(more.backupUrl), addresses: ['192.0.2.50'] } }),
      },
      environment,
    );
  const pusher = async (index: number): Promise<FakePusher> => {
    await waitFor(`connection ${index + 1}`, async () => pushers.length > index, { every: 1 });
    return pushers[index]!;
  };
  return {
    rendition,
    stream,
    start,
    pusher,
    pushers,
    invalid,
    released: () => released,
    keyFramesWanted: () => keyFramesWanted,
  };
}

/** A publisher that sends nothing. */
const publisher: Publisher = { id: 'p', close: () => {} };

const lost = new GatewayError('DESTINATION_LOST', 'lost');
const stopped = new GatewayError('TERMINATED', 'stopped');

t.test('begins with a key frame that has just been sent, and requests none', async (t) => {
  const { rendition, start, pusher, keyFramesWanted } = setUp();
  const recent = new TagGroup([video(1000, true), audio(1010), video(1040)]);
  start();
  const first = await pusher(0);
  Object.assign(rendition, { recent });
  first.emit('ready');
  rendition.emit('tags', new TagGroup([video(1080)]));
  t.strictSame(
    first.written.map(({ timestamp }) => timestamp),
    [0, 0, 0, 0, 10, 40, 80],
    'metadata, two headers, then everything from the key frame on',
  );
  t.equal(keyFramesWanted(), 0);
});

t.test('the status is pushing only after media has been taken', async (t) => {
  const { rendition, start, pusher, keyFramesWanted } = setUp({ localAddress: '192.0.2.99' });
  const transponder = start();
  let changes = 0;
  transponder.on('change', () => changes++);
  const first = await pusher(0);
  t.equal(first.localAddress, '192.0.2.99');
  t.strictSame(first.addresses, ['192.0.2.1'], 'the address that was checked when it was started');
  rendition.emit('tags', new TagGroup([video(0, true)]));
  t.equal(first.written.length, 0, 'nothing before the connection is ready');
  first.emit('ready');
  t.equal(keyFramesWanted(), 1);
  rendition.emit('tags', new TagGroup([video(40)]));
  rendition.emit('tags', new TagGroup([video(80, true)]));
  rendition.emit('tags', new TagGroup([audio(90)]));
  t.strictSame(
    first.written.map(({ timestamp }) => timestamp),
    [0, 0, 0, 0, 10],
    'metadata, two headers, the key frame, audio',
  );
  t.equal(transponder.status, 'connecting');
  for (const bytes of [100, 300, 500]) first.emit('progress', bytes);
  t.equal(changes, 1);
  t.match(transponder.view(), {
    status: 'pushing',
    bytesSent: 500,
    reason: '',
    streamName: 'rtmp_show',
    width: 640,
    height: 360,
  });
  await transponder.stop(stopped);
});

t.test('a name that no longer resolves is retried, and the new address is used', async (t) => {
  let asked = 0;
  const { start, pusher, invalid } = setUp({
    resolve: async () => {
      if (++asked < 3) throw new GatewayError('DESTINATION_NOT_RESOLVED', 'rtmp.example.com cannot be resolved.');
      return { addresses: ['192.0.2.7'] };
    },
  });
  const transponder = start();
  const reasons = new Set<string>();
  transponder.on('change', () => reasons.add(transponder.view().reasonCode));
  (await pusher(0)).emit('died', lost);
  t.strictSame((await pusher(1)).addresses, ['192.0.2.7']);
  t.equal(transponder.view().attempt, 3, 'attempts without an address count as well');
  t.strictSame([...reasons].sort(), ['DESTINATION_LOST', 'DESTINATION_UNREACHABLE']);
  await transponder.stop(stopped);
  t.strictSame(invalid, []);
});

t.test('a connection resumes if the destination has taken media before, and not if it only accepted', async (t) => {
  const { start, pusher, pushers } = setUp();
  const transponder = start();
  (await pusher(0)).emit('died', lost);
  const second = await pusher(1);
  second.emit('ready');
  second.emit('died', lost);
  const third = await pusher(2);
  third.emit('ready');
  third.emit('progress', 500);
  third.emit('died', lost);
  await pusher(3);
  t.strictSame(
    [0, 1, 2, 3].map((index) => pushers[index]!.resumes),
    [false, false, false, true],
  );
  await transponder.stop(stopped);
});

t.test('after an attempt that failed before it pushed the next one begins with another address', async (t) => {
  const { start, pusher, pushers } = setUp({ retry: { enabled: true, attempts: 10, intervalMs: 1, capMs: 0 } });
  const transponder = start();
  for (const [index, pushes] of [false, false, true, true, false].entries()) {
    const attempt = await pusher(index);
    attempt.emit('ready');
    if (pushes) attempt.emit('progress', 500);
    attempt.emit('died', lost);
  }
  await pusher(5);
  t.strictSame(
    pushers.map(({ addresses }) => addresses.map((address) => Number(address.at(-1)))),
    [[1], [3, 2], [2, 3], [2, 3], [2, 3], [3, 2]],
  );
  await transponder.stop(stopped);
});

t.test('an address that the policy forbids meanwhile is final', async (t) => {
  const { start, pusher, released } = setUp({
    resolve: async () => Promise.reject(new GatewayError('DESTINATION_FORBIDDEN', 'forbidden')),
  });
  const transponder = start();
  const closed = new Promise<void>((resolve) => transponder.once('closed', resolve));
  (await pusher(0)).emit('died', lost);
  await closed;
  t.match(transponder.view(), { status: 'ended', reasonCode: 'DESTINATION_FORBIDDEN' });
  t.equal(released(), 1);
});

t.test(
  'each connection begins with headers, a key frame and timestamps from 0, after the old one is closed',
  async (t) => {
    const { rendition, start, pusher } = setUp();
    const transponder = start();
    const first = await pusher(0);
    first.emit('ready');
    rendition.emit('tags', new TagGroup([video(1000, true)]));
    first.emit('progress', 10);
    first.emit('died', lost);
    t.match(transponder.view(), { status: 'retrying', reason: 'lost' });
    rendition.emit('tags', new TagGroup([video(1040)]));
    const second = await pusher(1);
    t.ok(first.closed);
    second.emit('ready');
    rendition.emit('tags', new TagGroup([video(1080)]));
    rendition.emit('tags', new TagGroup([video(1120, true)]));
    t.strictSame(
      second.written.map(({ timestamp, sequenceHeader, keyFrame }) => [timestamp, sequenceHeader, keyFrame]),
      [
        [0, false, false],
        [0, true, false],
        [0, true, false],
        [0, false, true],
      ],
    );
    t.equal(transponder.view().bytesSent, 10, 'what was sent before stays counted');
    await transponder.stop(stopped);
  },
);

t.test('a sound file waits for its destination: at the start, and while reconnecting', async (t) => {
  const { rendition, start, pusher } = setUp();
  const clip = { frames: ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text)) };
  const transponder = start({ clip, loop: false });
  let ms = 0;
  const play = (): void => {
    rendition.emit('tags', new TagGroup([video((ms += 40), true)]));
    for (let i = 0; i < 2; i++) rendition.emit('tags', new TagGroup([audio((ms += 20))]));
  };
  play();
  const first = await pusher(0);
  first.emit('ready');
  play();
  first.emit('died', lost);
  play();
  const second = await pusher(1);
  play();
  t.ok(transponder.view().soundEnabled);
  second.emit('ready');
  play();
  play();
  const heard = ({ written }: FakePusher): string[] =>
    written
      .filter(({ type, sequenceHeader }) => type === TAG_AUDIO && !sequenceHeader)
      .map(({ data }) => data.toString('hex'));
  t.strictSame(heard(first), ['61', '62']);
  t.strictSame(heard(second), ['63', '64', '01'.repeat(10), '01'.repeat(10)], 'then the live sound again');
  t.notOk(transponder.view().soundEnabled);
  await transponder.stop(stopped);
});

t.test(
  'video that begins after the audio: on the same connection, or on a new one if that cannot add it',
  async (t) => {
    for (const keepsTracks of [false, true]) {
      const { rendition, start, pusher, pushers, invalid } = setUp();
      Object.assign(rendition, { hasVideo: false });
      const transponder = start();
      const first = await pusher(0);
      first.keepsTracks = keepsTracks;
      first.emit('ready');
      rendition.emit('tags', new TagGroup([audio(1000)]));
      first.emit('progress', 500);
      Object.assign(rendition, { hasVideo: true });
      rendition.emit('tags', new TagGroup([video(1500, true)]));
      const last = await pusher(keepsTracks ? 1 : 0);
      t.equal(first.closed, keepsTracks);
      t.equal(last.resumes, keepsTracks, 'the server may take the first connection for one that publishes still');
      if (keepsTracks) last.emit('ready');
      rendition.emit('tags', new TagGroup([video(2000, true)]));
      t.ok(last.written.some(({ type, keyFrame }) => type === TAG_VIDEO && keyFrame));
      last.emit('progress', 500);
      t.match(transponder.view(), { status: 'pushing', attempt: 0 });
      await transponder.stop(stopped);
      t.equal(pushers.length, keepsTracks ? 2 : 1);
      t.strictSame(invalid, []);
    }
  },
);

t.test('a destination that does not keep up loses frames and delays no other', async (t) => {
  const { rendition, start, pusher, keyFramesWanted } = setUp();
  const [slow, quick] = [start(), start()];
  const pushers = [await pusher(0), await pusher(1)] as const;
  for (const each of pushers) each.emit('ready');
  pushers[0].writable = false;
  for (let ms = 0; ms < 60_000; ms += 40) rendition.emit('tags', new TagGroup([video(ms, ms % 2000 === 0)]));
  t.equal(pushers[1].written.filter(({ type, sequenceHeader }) => type === TAG_VIDEO && !sequenceHeader).length, 1500);
  t.equal(quick.view().framesDropped, 0);
  t.ok(slow.view().framesDropped > 1300);
  t.ok(slow.view().bufferMs <= 5040, `${slow.view().bufferMs} ms wait`);
  pushers[0].writable = true;
  pushers[0].emit('drain');
  t.equal(slow.view().bufferMs, 0, 'what waits goes out when there is room');

  const before = keyFramesWanted();
  pushers[0].writable = false;
  for (let ms = 60_000; ms < 66_000; ms += 40) rendition.emit('tags', new TagGroup([video(ms)]));
  t.equal(keyFramesWanted(), before + 1, 'asked for when all frames have been dropped');
  const dropped = slow.view().framesDropped;
  await Promise.all([slow.stop(stopped), quick.stop(stopped)]);
  t.equal(slow.view().framesDropped, dropped);
});

t.test('with rtmp_out_buffer_enabled due tags are sent at intervals', async (t) => {
  const { rendition, start, pusher } = setUp({
    outBuffer: { enabled: true, initialMs: 0, startMs: 0, maxBufferings: -1, queueWhenFull: true },
    pollingMs: 1,
  });
  const transponder = start();
  const first = await pusher(0);
  first.emit('ready');
  rendition.emit('tags', new TagGroup([video(0, true)]));
  t.equal(first.written.length, 0);
  await waitFor('it to go out', () => first.written.length > 0, { every: 1 });
  const intervals = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = intervals();
  await transponder.stop(stopped);
  t.equal(intervals(), before - 1);
});

t.test('a name that is held is tried for five minutes without counting, or as long as the settings say', async (t) => {
  t.equal(NAME_HELD_MS, 300_000);
  for (const nameHeldMs of [undefined, 0]) {
    const { start, pusher } = setUp({
      retry: { enabled: false, attempts: 3, intervalMs: 1, capMs: 0 },
      ...(nameHeldMs !== undefined && { nameHeldMs }),
    });
    const transponder = start();
    const first = await pusher(0);
    first.emit('ready');
    first.emit('progress', 500);
    first.emit('died', lost, true);
    t.equal(transponder.status, nameHeldMs === undefined ? 'retrying' : 'ended');
    if (nameHeldMs === undefined) (await pusher(1)).emit('died', lost, true);
    await transponder.stop(stopped);
  }
});

t.test('after a stall the silence of a server that can be connected to at once does not count', async (t) => {
  const { start, pusher, pushers } = setUp();
  const transponder = start();
  const stalled = new GatewayError('DESTINATION_STALLED', 'nothing taken');
  for (const [index, error] of [stalled, stalled, lost].entries()) {
    const each = await pusher(index);
    each.emit('ready');
    if (index !== 1) each.emit('progress', 500);
    each.emit('died', error);
  }
  await pusher(3);
  t.strictSame(
    pushers.map(({ ignoresSilence }) => ignoresSilence),
    [false, true, false, false],
    'unless an attempt failed meanwhile',
  );
  await transponder.stop(stopped);
});

t.test('stopped while a name is being resolved', async (t) => {
  for (const outcome of [{ addresses: ['192.0.2.9'] }, new GatewayError('DESTINATION_NOT_RESOLVED', 'nowhere')]) {
    const lookedUp = Promise.withResolvers<{ addresses: string[] }>();
    let asked = false;
    const stage = setUp({ resolve: () => ((asked = true), lookedUp.promise) });
    const transponder = stage.start();
    (await stage.pusher(0)).emit('died', lost);
    await waitFor('the name to be looked up', () => asked, { every: 1 });
    await transponder.stop(stopped);
    if (outcome instanceof GatewayError) lookedUp.reject(outcome);
    else lookedUp.resolve(outcome);
    await immediate();
    t.equal(stage.pushers.length, 1);
    t.strictSame(stage.invalid, []);
  }
});

t.test('a connection that fails to close does not prevent the end', async (t) => {
  const { rendition, start, pusher } = setUp();
  const transponder = start();
  Object.assign(await pusher(0), { close: () => Promise.reject(new Error('not closed')) });
  await transponder.stop(stopped);
  t.equal(rendition.listenerCount('tags'), 0);
});

t.test('stopped in any state: everything is released, and no event follows', async (t) => {
  for (const prepare of [
    async () => undefined,
    async ({ pusher }: ReturnType<typeof setUp>) => void (await pusher(0)),
    async ({ pusher }: ReturnType<typeof setUp>) => void (await pusher(0)).emit('ready'),
    async ({ pusher }: ReturnType<typeof setUp>) => void (await pusher(0)).emit('progress', 1),
    async ({ pusher }: ReturnType<typeof setUp>) => void (await pusher(0)).emit('died', lost),
  ]) {
    const stage = setUp();
    const transponder = stage.start();
    await prepare(stage);
    await Promise.all([transponder.stop(stopped), transponder.stop(lost)]);
    t.match(transponder.view(), { status: 'ended', reason: 'stopped', endedAt: /^2/ });
    for (const { closed } of stage.pushers) t.ok(closed);
    t.equal(stage.released(), 1);
    const count = stage.pushers.length;
    for (const pusher of stage.pushers) {
      pusher.emit('progress', 5);
      pusher.emit('died', lost);
    }
    stage.rendition.emit('tags', new TagGroup([video(0, true)]));
    t.strictSame([stage.rendition.listenerCount('tags'), stage.rendition.listenerCount('failed')], [0, 0]);
    // Longer than the delay before the next attempt.
    await sleep(5);
    t.equal(stage.pushers.length, count);
    t.strictSame(stage.invalid, []);
  }
});

t.test('the redacted destination has no secret', async (t) => {
  const { start } = setUp();
  const transponder = start();
  t.notMatch(transponder.view().destination, /secret/);
  await transponder.stop(stopped);
});

t.test('the view shows since when and until when the publisher is away', async (t) => {
  const { stream, start, pusher } = setUp();
  stream.attach(publisher);
  const transponder = start();
  const changes: unknown[] = [];
  transponder.on('change', () => changes.push(transponder.view().publisherAway));
  const first = await pusher(0);
  first.emit('ready');
  first.emit('progress', 500);
  t.equal('publisherAway' in transponder.view(), false);
  stream.lose(15_000);
  const { since, until } = transponder.view().publisherAway!;
  t.equal(Date.parse(until!) - Date.parse(since), 15_000);
  t.ok(Math.abs(Date.now() - Date.parse(since)) < 5000);
  t.equal(transponder.status, 'pushing', 'the destination is still pushed to');
  stream.attach(publisher);
  t.equal('publisherAway' in transponder.view(), false);
  stream.lose(15_000);
  await transponder.stop(stopped);
  t.equal('publisherAway' in transponder.view(), false, 'of no interest when it has ended');
  t.match(changes, [undefined, { since, until }, undefined, { since: String }, undefined]);
  t.equal(stream.listenerCount('lost') + stream.listenerCount('published'), 0);
});

t.test('the view shows why there is no video', async (t) => {
  const { stream, start, pusher } = setUp();
  stream.attach(publisher);
  const transponder = start();
  const reasons: string[] = [];
  transponder.on('change', () => reasons.push(transponder.view().reasonCode));
  stream.reportVideo(new GatewayError('VIDEO_UNUSABLE', 'No parameter sets.'));
  t.match(transponder.view(), { status: 'connecting', reason: 'No parameter sets.', reasonCode: 'VIDEO_UNUSABLE' });
  (await pusher(0)).emit('ready');
  stream.reportVideo(undefined);
  t.match(transponder.view(), { reason: '', reasonCode: '' });
  t.strictSame(reasons.slice(0, 1), ['VIDEO_UNUSABLE']);
  t.equal(reasons.at(-1), '');
  await transponder.stop(stopped);
  t.equal(stream.listenerCount('videoProblem'), 0);
});

t.test('the log: a lost destination is a warning, pushing again has a line, and no line has a secret', async (t) => {
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'info', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const { start, pusher } = setUp({ logger });
  const transponder = start();
  for (const index of [0, 1]) {
    const attempt = await pusher(index);
    attempt.emit('ready');
    attempt.emit('progress', 500);
    if (index === 0) attempt.emit('died', lost);
  }
  await transponder.stop(stopped);
  const where = { transponder: transponder.id, stream: 'show', destination: 'rtmp://rtmp.example.com/live' };
  t.match(
    lines.map((line) => JSON.parse(line) as object),
    [
      { ...where, level: 'info', msg: 'push started' },
      { ...where, level: 'info', msg: 'pushing', status: 'pushing' },
      {
        ...where,
        level: 'warn',
        msg: 'destination lost, will reconnect',
        status: 'retrying',
        code: 'DESTINATION_LOST',
        reason: 'lost',
      },
      { ...where, level: 'info', msg: 'connecting to the destination again', attempt: 1 },
      { ...where, level: 'info', msg: 'pushing again' },
      { ...where, level: 'info', msg: 'push ended', code: 'TERMINATED' },
    ],
  );
  t.notMatch(lines.join(), /secret/);
});

t.test('the log: a destination that ends the push is a warning', async (t) => {
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'warn', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const { start, pusher } = setUp({ logger });
  const transponder = start();
  const closed = new Promise<void>((resolve) => transponder.once('closed', resolve));
  (await pusher(0)).emit('died', new GatewayError('DESTINATION_REFUSED', 'Bad name.'));
  await closed;
  t.match(
    lines.map((line) => JSON.parse(line) as object),
    [{ level: 'warn', msg: 'push ended', code: 'DESTINATION_REFUSED', reason: 'Bad name.' }],
  );
});

const backupUrl = 'rtmp://b.example.com/live?token=secret2';
const refused = new GatewayError('DESTINATION_REFUSED', 'refused');
/** What the view says about the legs. */
const legsOf = (transponder: Transponder): string[] =>
  transponder.view().legs.map(({ leg, status }) => `${leg} ${status}`);

t.test('hot: both legs get the same, and each reconnects on its own while the other pushes', async (t) => {
  // No retries by the settings; a push with a backup has them, and without a limit while its other leg pushes.
  const retry = { enabled: false, attempts: 1, intervalMs: 1, capMs: 0 };
  const { rendition, start, pusher, pushers, invalid, released } = setUp({ retry });
  const transponder = start(undefined, { backupUrl });
  const statuses: string[] = [];
  transponder.on('change', () => statuses.push(`${transponder.status}: ${legsOf(transponder).join(', ')}`));
  const [primary, backup] = [await pusher(0), await pusher(1)];
  t.strictSame(
    [primary, backup].map(({ tcUrl, addresses }) => [tcUrl, ...addresses]),
    [
      ['rtmp://rtmp.example.com:1935/live', '192.0.2.1'],
      ['rtmp://b.example.com:1935/live?token=secret2', '192.0.2.50'],
    ],
  );
  for (const each of [primary, backup]) each.emit('ready');
  rendition.emit('tags', new TagGroup([video(1000, true), audio(1010)]));
  t.strictSame(
    primary.written.map(({ data }) => data),
    backup.written.map(({ data }) => data),
  );
  primary.emit('progress', 100);
  backup.emit('progress', 200);
  for (let i = 0; i < 4; i++) {
    const last = i === 0 ? primary : await pusher(i + 1);
    last.emit('died', lost);
    t.match(transponder.view(), { status: 'pushing', reason: '', reasonCode: '' });
  }
  t.match(transponder.view(), {
    bytesSent: 300,
    legs: [
      { leg: 'primary', status: 'retrying', reasonCode: 'DESTINATION_LOST', attempt: 3, bytesSent: 100 },
      { leg: 'backup', status: 'pushing', bytesSent: 200, destination: 'rtmp://b.example.com/live' },
    ],
  });
  t.notMatch(JSON.stringify(transponder.view().legs), /secret/);
  const again = await pusher(5);
  again.emit('progress', 50);
  t.strictSame(legsOf(transponder), ['primary pushing', 'backup pushing']);
  backup.emit('died', refused);
  t.strictSame(legsOf(transponder), ['primary pushing', 'backup ended']);
  t.equal(transponder.status, 'pushing', 'a leg that is refused for good does not end the push');
  await transponder.stop(stopped);
  t.strictSame(statuses.slice(0, 4), [
    'pushing: primary pushing, backup connecting',
    'pushing: primary pushing, backup pushing',
    'pushing: primary retrying, backup pushing',
    'pushing: primary connecting, backup pushing',
  ]);
  t.equal(statuses.at(-1), 'ended: primary ended, backup ended');
  t.equal(statuses.filter((each) => each.startsWith('ended')).length, 1, 'the end is one change');
  t.equal(released(), 1);
  t.strictSame(invalid, []);
  t.equal(pushers.length, 6);
});

t.test('the push ends when no leg can go on: refused, or out of attempts', async (t) => {
  for (const last of [refused, lost]) {
    const { start, pusher, invalid, released } = setUp({
      retry: { enabled: true, attempts: 1, intervalMs: 1, capMs: 0 },
    });
    const transponder = start(undefined, { backupUrl });
    const closed = new Promise<void>((resolve) => transponder.once('closed', resolve));
    (await pusher(0)).emit('died', refused);
    t.equal(transponder.status, 'connecting');
    (await pusher(1)).emit('died', last);
    if (last === lost) {
      t.equal(transponder.status, 'retrying');
      (await pusher(2)).emit('died', lost);
    }
    await closed;
    t.match(transponder.view(), { status: 'ended', reasonCode: last.code, endedAt: String });
    t.equal(released(), 1);
    t.strictSame(invalid, []);
  }
});

t.test(
  'cold: the backup is connected when the primary has been away for a while, and closed when it is steady',
  async (t) => {
    const { start, pusher, invalid } = setUp({
      retry: { enabled: true, attempts: 99, intervalMs: 1, capMs: 0 },
      steadyAfterMs: 200,
    });
    const transponder = start(undefined, { backupUrl, backupMode: 'cold', backupAfterMs: 1000 });
    const first = await pusher(0);
    first.emit('progress', 10);
    t.strictSame(legsOf(transponder), ['primary pushing', 'backup idle']);
    // Shorter than the delay: nothing happens.
    first.emit('died', lost);
    const second = await pusher(1);
    second.emit('progress', 10);
    await sleep(1100);
    t.strictSame(legsOf(transponder), ['primary pushing', 'backup idle']);
    second.emit('died', lost);
    const third = await pusher(2);
    t.equal(transponder.status, 'connecting');
    const backup = await pusher(3);
    t.match(backup.tcUrl, /b\.example\.com/);
    backup.emit('progress', 10);
    t.match(transponder.view(), { status: 'pushing', backupMode: 'cold' });
    third.emit('progress', 20);
    t.strictSame(legsOf(transponder), ['primary pushing', 'backup pushing'], 'until the primary is steady');
    await waitFor('the backup to be closed', () => backup.closed, { every: 1 });
    t.strictSame(legsOf(transponder), ['primary pushing', 'backup idle']);
    third.emit('died', lost);
    await pusher(5);
    t.strictSame(legsOf(transponder), ['primary connecting', 'backup connecting'], 'and connected again');
    await transponder.stop(stopped);
    t.strictSame(invalid, []);
  },
);

t.test('cold: refused for good by the primary, the backup is connected at once', async (t) => {
  const { start, pusher } = setUp();
  const transponder = start(undefined, { backupUrl, backupMode: 'cold', backupAfterMs: 60_000 });
  (await pusher(0)).emit('died', refused);
  const backup = await pusher(1);
  backup.emit('progress', 10);
  t.strictSame(legsOf(transponder), ['primary ended', 'backup pushing']);
  await transponder.stop(stopped);
});

t.test('a name that the server still holds does not use up the attempts', async (t) => {
  const { start, pusher } = setUp({ retry: { enabled: true, attempts: 1, intervalMs: 1, capMs: 0 } });
  const transponder = start();
  const first = await pusher(0);
  first.emit('progress', 10);
  first.emit('died', lost);
  const held = new GatewayError('DESTINATION_LOST', 'Already publishing');
  for (let i = 1; i < 6; i++) (await pusher(i)).emit('died', held, true);
  (await pusher(6)).emit('progress', 10);
  t.match(transponder.view(), { status: 'pushing', attempt: 1 });
  await transponder.stop(stopped);
});

t.test('a push that another process has left: its name is tried again, at once when asked for', async (t) => {
  const { rendition, start, pusher } = setUp({ retry: { enabled: false, attempts: 0, intervalMs: 60_000, capMs: 0 } });
  const continued = { mediaSessionId: 'id', startedAt: new Date(0) };
  const transponder = start(undefined, {}, continued);
  const first = await pusher(0);
  t.match(first, { resumes: true });
  t.equal(transponder.reach, 'connecting');
  first.emit('died', new GatewayError('DESTINATION_LOST', 'Already publishing'), true);
  t.equal(transponder.reach, 'held');
  transponder.retry();
  t.equal(transponder.reach, 'connecting');
  const second = await pusher(1);
  second.emit('ready');
  second.emit('progress', 10);
  t.equal(transponder.reach, 'connecting', 'until its destination has received a frame');
  rendition.emit('tags', new TagGroup([video(1000, true)]));
  t.equal(transponder.reach, 'pushing');
  transponder.retry();
  t.equal(transponder.status, 'pushing');
  await transponder.stop(stopped);
  t.equal(transponder.reach, undefined);
});

t.test('the server asks to reconnect: the other connection takes over when it pushes', async (t) => {
  const { rendition, start, pusher, pushers, invalid } = setUp();
  const transponder = start();
  const old = await pusher(0);
  old.emit('ready');
  rendition.emit('tags', new TagGroup([video(1000, true)]));
  old.emit('progress', 100);
  old.emit('reconnect', { tcUrl: '//other.example.com:1936/live2', description: 'maintenance' });
  const next = await pusher(1);
  t.match(next, { tcUrl: 'rtmp://other.example.com:1936/live2', addresses: ['192.0.2.2', '192.0.2.3'], resumes: true });
  next.emit('ready');
  rendition.emit('tags', new TagGroup([video(1040)]));
  t.equal(next.written.length, 0, 'it waits for a key frame');
  t.equal(old.written.at(-1)!.timestamp, 40, 'while the old one goes on');
  rendition.emit('tags', new TagGroup([video(1080, true)]));
  t.notOk(old.closed);
  t.equal(old.written.at(-1)!.timestamp, 80);
  next.emit('progress', 50);
  rendition.emit('tags', new TagGroup([video(1120)]));
  t.strictSame([old.written.at(-1)!.timestamp, next.written.at(-1)!.timestamp], [80, 40]);
  t.match(transponder.view(), {
    status: 'pushing',
    attempt: 0,
    bytesSent: 150,
    rtmpUrl: 'rtmp://u:secret@rtmp.example.com/live',
    legs: [{ destination: 'rtmp://other.example.com:1936/live2' }],
  });
  await waitFor('the old connection to be closed', () => old.closed, { every: 1 });
  // Lost at the other place: the server of the request decides again.
  next.emit('died', lost);
  t.equal((await pusher(2)).tcUrl, 'rtmp://rtmp.example.com:1935/live');
  await transponder.stop(stopped);
  t.equal(pushers.length, 3);
  t.strictSame(invalid, []);
});

t.test('a request to reconnect that arrives before the push, or without a URL', async (t) => {
  const { start, pusher } = setUp();
  const transponder = start();
  const old = await pusher(0);
  old.emit('ready');
  old.emit('reconnect', { description: '' });
  old.emit('progress', 100);
  t.equal((await pusher(1)).tcUrl, old.tcUrl);
  await transponder.stop(stopped);
  t.ok((await pusher(1)).closed, 'the other connection is closed with the push');
});

t.test('a place that cannot be used: the connection stays, with a warning', async (t) => {
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'warn', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const { start, pusher, pushers } = setUp({
    logger,
    resolve: async () => Promise.reject(new GatewayError('DESTINATION_FORBIDDEN', 'private')),
  });
  const transponder = start();
  const old = await pusher(0);
  old.emit('progress', 100);
  for (const tcUrl of ['rtmp://10.0.0.1/live', 'http://x/', 'rtmp://'])
    old.emit('reconnect', { tcUrl, description: '' });
  await waitFor('warnings', () => lines.length === 3, { every: 1 });
  for (let i = 0; i < 50; i++) old.emit('reconnect', { tcUrl: '/x', description: '' });
  await immediate();
  t.equal(lines.length, 4, 'one about all further ones');
  t.strictSame(lines.map((line) => (JSON.parse(line) as { code?: string }).code).sort(), [
    'DESTINATION_FORBIDDEN',
    'INVALID_RTMP_URL',
    'INVALID_RTMP_URL',
    undefined,
  ]);
  t.equal(pushers.length, 1);
  t.equal(transponder.status, 'pushing');
  await transponder.stop(stopped);
});

t.test(
  'a replacement that fails, that is refused for its name, or that the old connection does not wait for',
  async (t) => {
    const { start, pusher, invalid } = setUp();
    const transponder = start();
    const old = await pusher(0);
    old.emit('progress', 100);
    old.emit('reconnect', { tcUrl: '/a', description: '' });
    (await pusher(1)).emit('died', refused, false);
    t.match(transponder.view(), { status: 'pushing', legs: [{ destination: 'rtmp://rtmp.example.com/live' }] });
    t.notOk(old.closed);

    old.emit('reconnect', { tcUrl: '/b', description: '' });
    (await pusher(2)).emit('died', lost, true);
    const renewed = await pusher(3);
    t.ok(old.closed, 'the server wants the old one closed first');
    t.match(renewed.tcUrl, /\/b$/);
    renewed.emit('progress', 10);

    renewed.emit('reconnect', { tcUrl: '/c', description: '' });
    const next = await pusher(4);
    renewed.emit('died', lost);
    t.match(transponder.view(), { status: 'connecting', attempt: 0 });
    next.emit('progress', 10);
    t.match(transponder.view(), { status: 'pushing', attempt: 0, bytesSent: 120, legs: [{ destination: /\/c$/ }] });
    await transponder.stop(stopped);
    t.strictSame(invalid, []);
  },
);

t.test('the log of a push with a backup names the leg', async (t) => {
  const lines: string[] = [];
  const logger = createLogger(
    { log_level: 'info', log_format: 'json' },
    { destination: { write: (line) => void lines.push(line) } },
  );
  const { start, pusher } = setUp({ logger });
  const transponder = start(undefined, { backupUrl });
  (await pusher(0)).emit('progress', 1);
  (await pusher(1)).emit('died', refused);
  await transponder.stop(stopped);
  t.match(
    lines.map((line) => JSON.parse(line) as object),
    [
      { msg: 'push started', backup: 'rtmp://b.example.com/live', backupMode: 'hot' },
      { leg: 'primary', msg: 'pushing' },
      { leg: 'backup', level: 'warn', msg: 'this leg cannot go on', code: 'DESTINATION_REFUSED' },
      { msg: 'push ended', code: 'TERMINATED' },
    ],
  );
  t.notMatch(lines.join(), /secret/);
});
