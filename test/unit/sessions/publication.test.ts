import { EventEmitter } from 'node:events';
import { mock } from 'node:test';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/observe/logger.ts';
import {
  Publication,
  type PublicationContext,
  type PublicationEnd,
  type PublicationRequest,
} from '../../../src/sessions/publication.ts';
import type { PushControl, PushRequest } from '../../../src/sessions/push-control.ts';
import { Publications } from '../../../src/sessions/publications.ts';
import type { SourceSession } from '../../../src/sessions/source-session.ts';
import { LocalDirectory, type Directory } from '../../../src/streams/directory.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import type { WorkerPool } from '../../../src/webrtc/worker-pool.ts';
import type { PushView } from '../../../src/views/push-view.ts';

class FakeSession extends EventEmitter implements SourceSession {
  readonly id = 'session';
  closed = false;
  silent = false;
  async isSilent(): Promise<boolean> {
    return this.silent;
  }
  close(): void {
    this.closed = true;
  }
}

class FakePushes implements PushControl {
  readonly started: string[] = [];
  readonly refused: [PushRequest, string][] = [];
  refuseWith: GatewayError | undefined;
  readonly listeners = new Set<(view: PushView) => void>();
  readonly requestIds: unknown[] = [];
  async start({ streamName, rtmpUrl }: PushRequest, origin?: { requestId?: string | undefined }): Promise<PushView> {
    this.requestIds.push(origin?.requestId);
    if (this.refuseWith) throw this.refuseWith;
    this.started.push(rtmpUrl);
    return this.view(streamName);
  }
  refuse(request: PushRequest, { code }: GatewayError): void {
    this.refused.push([request, code]);
  }
  find({ streamName }: PushRequest): PushView[] {
    return [this.view(streamName)];
  }
  onChange(listener: (view: PushView) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  change(view: PushView): void {
    for (const listener of this.listeners) listener(view);
  }
  view(sourceStreamName: string, status: PushView['status'] = 'connecting'): PushView {
    return { mediaSessionId: 'push-1', sourceStreamName, destination: 'rtmp://a.example/live', status, reason: '' };
  }
}

const stopped = new GatewayError('STREAM_STOPPED', 'Stopped by user');
const vanished = new GatewayError('PUBLISHER_LOST', 'vanished');
/** Everything that is pending in promises has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(more: Partial<PublicationContext> = {}) {
  const lines: Record<string, unknown>[] = [];
  const logger = createLogger(
    { log_level: 'info', log_format: 'json' },
    { destination: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) } },
  );
  const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 2 });
  const pushes = new FakePushes();
  const directory = new LocalDirectory();
  const context = { registry, pushes, directory, admission: { check: () => undefined }, ...more };
  t.teardown(() => registry.close(stopped));
  // Logs the ends of streams.
  new Publications({ ...context, pool: undefined as unknown as WorkerPool, logger });
  const publish = (request: Partial<PublicationRequest<FakeSession>> = {}) => {
    const session = new FakeSession();
    const publication = Publication.start(context, {
      streamName: 'cam',
      resumeKey: 'key',
      rtmpUrls: [],
      openSession: async () => session,
      logger: logger.child({ door: 'test' }),
      ...request,
    });
    const events: string[] = [];
    const ends: PublicationEnd[] = [];
    const views: PushView[] = [];
    publication.on('live', () => events.push('live'));
    publication.on('push', (view) => views.push(view));
    publication.on('ended', (end) => (events.push(`ended: ${end.cause}`), ends.push(end)));
    return { publication, session, events, ends, views };
  };
  const live = async (request: Partial<PublicationRequest<FakeSession>> = {}) => {
    const parts = publish(request);
    await parts.publication.negotiated;
    parts.session.emit('connected');
    return parts;
  };
  const said = (): unknown[] => lines.map(({ msg }) => msg);
  return { registry, pushes, directory, publish, live, lines, said };
}

t.test('published, stopped: the name, the session and the claim are free again', async (t) => {
  const { registry, directory, live, said, lines, pushes } = setUp();
  const { publication, session, events, ends } = await live();
  t.equal(publication.state, 'live');
  t.equal(registry.find('cam')?.publisher, session);
  t.match(await directory.owner('cam'), { node: 'local', epoch: 1 });
  publication.stop(stopped);
  publication.stop(stopped);
  t.strictSame(events, ['live', 'ended: stopped']);
  t.equal(ends[0]!.reason, stopped);
  t.ok(session.closed);
  t.equal(registry.find('cam'), undefined);
  t.equal(await directory.owner('cam'), undefined);
  t.equal(pushes.listeners.size, 0);
  t.strictSame(said(), ['stream published', 'stream ended']);
  t.match(lines[0], { streamName: 'cam', door: 'test', publishSession: 'session' });
  t.match(lines[1], { streamName: 'cam', code: 'STREAM_STOPPED', reason: 'Stopped by user' });
});

t.test('one name, two publishers: the second is refused, and the claim stays with the first', async (t) => {
  const { live, publish, directory, said } = setUp();
  const first = await live();
  const second = publish();
  await t.rejects(second.publication.negotiated, { code: 'STREAM_NAME_IN_USE' });
  t.strictSame(second.events, ['ended: failed']);
  t.ok(await directory.owner('cam'));
  t.strictSame(said(), ['stream published', 'publication refused']);
  first.publication.stop(stopped);
  t.equal(await directory.owner('cam'), undefined);
});

t.test('lost without a stop in time: the stream stays held, and the return is logged', async (t) => {
  const { registry, directory, live, said, lines } = setUp();
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const { session, events, publication } = await live({ graceMs: 1000 });
  const stream = registry.find('cam')!;
  session.emit('lost', vanished);
  t.equal(publication.state, 'lost');
  t.ok(stream.absence);
  mock.timers.tick(1000);
  t.strictSame(events, ['live', 'ended: graceExpired']);
  t.ok(await directory.owner('cam'), 'claimed while it is held');

  const back = await live();
  t.equal(registry.find('cam'), stream);
  t.equal((await directory.owner('cam'))?.epoch, 1);
  back.publication.stop(stopped);
  t.strictSame(said(), ['stream published', 'publisher lost', 'stream resumed', 'stream ended']);
  t.match(lines[1], { level: 'warn', reason: 'vanished', heldUntil: /^\d{4}-.*Z$/ });
  t.equal(await directory.owner('cam'), undefined);
});

t.test('lost, then stopped: a stop that comes after its media', async (t) => {
  const { registry, live } = setUp();
  const { session, events, publication } = await live({ graceMs: 1000 });
  session.emit('lost', vanished);
  publication.stop(stopped);
  t.strictSame(events, ['live', 'ended: stopped']);
  t.equal(registry.find('cam'), undefined);
});

t.test('lost, without a grace time: lasts until the stream ends or is continued', async (t) => {
  const { registry, live } = setUp();
  const first = await live();
  first.session.emit('lost', vanished);
  const second = await live();
  t.strictSame(first.events, ['live', 'ended: takenOver']);
  first.publication.stop(stopped);
  t.ok(registry.find('cam')?.publisher, 'the first publication does not own the stream any more');
  second.session.emit('lost', vanished);
  registry.end(registry.find('cam')!, stopped);
  t.strictSame(second.events, ['live', 'ended: streamEnded']);
});

t.test('a client with the same key takes the place of a publisher from which nothing arrives', async (t) => {
  const overload = { overloaded: false };
  const admission = {
    check: () => {
      if (overload.overloaded) throw new GatewayError('OVERLOADED', 'busy');
    },
  };
  const { registry, directory, live, publish, said } = setUp({ admission });
  const first = await live();
  const stream = registry.find('cam')!;
  const refusal = async (request: Partial<PublicationRequest<FakeSession>> = {}): Promise<string> => {
    const { publication } = publish(request);
    return publication.negotiated.then(
      () => 'accepted',
      (error: GatewayError) => `${error.code}: ${error.message}`,
    );
  };
  t.match(await refusal(), /^STREAM_NAME_IN_USE: .*same credentials is sending media/, 'both send');
  first.session.silent = true;
  for (const resumeKey of ['other', undefined])
    t.match(await refusal({ resumeKey }), /^STREAM_NAME_IN_USE: .*Publish under another name/, String(resumeKey));
  t.equal(stream.publisher, first.session);
  t.strictSame(first.events, ['live']);

  overload.overloaded = true;
  const connecting = publish();
  await connecting.publication.negotiated;
  t.equal(stream.publisher, first.session, 'the first stays until the second is connected');
  t.match(await refusal(), /^STREAM_NAME_IN_USE/, 'a third one waits');
  connecting.session.emit('connected');
  t.equal(stream.publisher, connecting.session);
  t.equal(registry.find('cam'), stream, 'the stream goes on');
  t.strictSame(first.events, ['live', 'ended: takenOver']);
  t.ok(first.session.closed);
  t.strictSame(said(), ['stream published', ...new Array<string>(4).fill('publication refused'), 'stream resumed']);
  first.publication.stop(stopped);
  t.notOk(stream.endedBy, 'a late stop of the first one ends nothing');
  connecting.publication.stop(stopped);
  t.equal(await directory.owner('cam'), undefined, 'all claims are released');
});

t.test('packets that cannot be used as video are a problem of the stream while this publisher has it', async (t) => {
  const { registry, live } = setUp();
  const { session } = await live();
  const stream = registry.find('cam')!;
  const problem = new GatewayError('VIDEO_UNUSABLE', 'payload type 97');
  session.emit('unmatched', problem);
  t.equal(stream.videoProblem, problem);
  session.emit('unmatched', undefined);
  t.equal(stream.videoProblem, undefined);
  session.emit('lost', vanished);
  session.emit('unmatched', problem);
  t.equal(stream.videoProblem, undefined);
});

t.test('streams without a key have no owner who could take them over', async (t) => {
  const { live, publish } = setUp();
  const { session } = await live({ resumeKey: undefined });
  session.silent = true;
  await t.rejects(publish({ resumeKey: undefined }).publication.negotiated, { code: 'STREAM_NAME_IN_USE' });
});

t.test('the publisher comes back to life or leaves while another takes its place', async (t) => {
  for (const how of ['lost', 'stopped'] as const) {
    const { registry, live, publish } = setUp();
    const first = await live();
    first.session.silent = true;
    const second = publish();
    await second.publication.negotiated;
    if (how === 'lost') first.session.emit('lost', vanished);
    else first.publication.stop(stopped);
    second.session.emit('connected');
    t.equal(registry.find('cam')?.publisher, second.session, how);
    t.equal(first.publication.state, 'ended', how);
  }
});

t.test('without a resume window a take-over begins a new stream', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 2 });
  const { live, directory } = setUp({ registry });
  const first = await live();
  const stream = registry.find('cam')!;
  first.session.silent = true;
  const second = await live();
  t.not(registry.find('cam'), stream);
  t.equal(registry.find('cam')?.publisher, second.session);
  t.strictSame(first.events, ['live', 'ended: streamEnded']);
  second.publication.stop(stopped);
  t.equal(await directory.owner('cam'), undefined);
});

t.test('the signalling connection closes: the stream is held; with a resume window of 0 it ends', async (t) => {
  const { registry, live, said } = setUp();
  const { publication, session, events } = await live();
  publication.disconnect(vanished);
  t.strictSame(events, ['live', 'ended: disconnected']);
  t.ok(session.closed);
  t.ok(registry.find('cam')?.absence);
  t.strictSame(said(), ['stream published', 'publisher lost']);

  const none = setUp({ registry: new StreamRegistry({ resumeWindowMs: 0, maxStreams: 1 }) });
  const other = await none.live();
  other.session.emit('lost', vanished);
  t.strictSame(other.events, ['live', 'ended: streamEnded']);
  t.equal(other.ends[0]!.reason.code, 'PUBLISHER_LOST');
});

t.test('a worker that died ends the stream', async (t) => {
  const { registry, live } = setUp();
  const { session, ends } = await live();
  session.emit('lost', new GatewayError('WORKER_DIED', 'died'));
  t.match(ends, [{ cause: 'mediaLost', reason: { code: 'WORKER_DIED' } }]);
  t.equal(registry.size, 0);
});

t.test('stopped while it is being negotiated: nothing stays', async (t) => {
  const { registry, directory, publish } = setUp();
  const opening = Promise.withResolvers<FakeSession>();
  const { publication, session, events } = publish({ openSession: () => opening.promise });
  await settled();
  t.equal(publication.state, 'negotiating');
  t.throws(() => registry.check('cam'), { code: 'STREAM_NAME_IN_USE' });
  publication.stop(stopped);
  await t.rejects(publication.negotiated, stopped);
  registry.check('cam');
  t.equal(await directory.owner('cam'), undefined);
  opening.resolve(session);
  await settled();
  t.ok(session.closed);
  t.strictSame(events, ['ended: stopped']);

  const early = publish();
  early.publication.stop(stopped);
  await settled();
  registry.check('cam');
  t.equal(await directory.owner('cam'), undefined, 'stopped before the name was claimed');
  t.notOk(early.session.closed, 'never opened');
});

t.test('negotiation fails, or the stream cannot take its publisher', async (t) => {
  const { registry, directory, publish } = setUp();
  const failing = publish({ openSession: () => Promise.reject(new GatewayError('INVALID_SDP', 'bad')) });
  await t.rejects(failing.publication.negotiated, { code: 'INVALID_SDP' });
  t.equal(await directory.owner('cam'), undefined);

  const { reserve } = registry;
  registry.reserve = (...args) => ({
    ...reserve.apply(registry, args),
    publish: () => {
      throw new GatewayError('LIMIT_REACHED', 'full');
    },
  });
  const { publication, session, ends } = publish();
  await publication.negotiated;
  session.emit('connected');
  t.match(ends, [{ cause: 'failed', reason: { code: 'LIMIT_REACHED' } }]);
  t.ok(session.closed);
  registry.check('cam');
  t.equal(await directory.owner('cam'), undefined);
});

t.test('rights and overload are checked before the name is taken; a publisher that returns is let in', async (t) => {
  let overloaded = false;
  const admission = {
    check(): void {
      if (overloaded) throw new GatewayError('OVERLOADED', 'Try later.');
    },
  };
  const { publish, live, registry } = setUp({ admission });
  const rights = {
    publish: () => Promise.reject(new GatewayError('FORBIDDEN', 'Not you.')),
    push: async () => undefined,
  };
  await t.rejects(publish({ rights }).publication.negotiated, { code: 'FORBIDDEN' });

  const { session } = await live();
  session.emit('lost', vanished);
  overloaded = true;
  await t.rejects(publish({ streamName: 'new' }).publication.negotiated, { code: 'OVERLOADED' });
  await live();
  t.ok(registry.find('cam')?.publisher);
});

t.test('the right to publish ends: the publication, its held stream and its pushes end with it', async (t) => {
  const { registry, live, said, lines } = setUp();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const rights = (ms: number) => ({ publish: async () => ({ endsAt: Date.now() + ms }), push: async () => undefined });
  const running = await live({ rights: rights(5000) });
  mock.timers.tick(4999);
  t.equal(running.publication.state, 'live');
  mock.timers.tick(2);
  t.strictSame(running.events, ['live', 'ended: failed']);
  t.equal(running.ends[0]!.reason.code, 'TOKEN_EXPIRED');
  t.ok(running.session.closed);
  t.equal(registry.find('cam'), undefined);
  t.strictSame(said(), ['stream published', 'stream ended'], 'its pushes end with the stream');
  t.match(lines[1], { code: 'TOKEN_EXPIRED' });

  const left = await live({ rights: rights(5000) });
  left.publication.disconnect(vanished);
  const stream = registry.find('cam')!;
  t.ok(stream.absence, 'held');
  mock.timers.tick(5001);
  t.equal(stream.endedBy?.code, 'TOKEN_EXPIRED');

  const first = await live({ rights: rights(5000) });
  first.publication.disconnect(vanished);
  const renewed = await live({ rights: rights(60_000) });
  mock.timers.tick(5001);
  t.equal(renewed.publication.state, 'live', 'continued with a right that lasts longer');
  renewed.publication.stop(stopped);

  const far = await live({ rights: rights(2 ** 40) });
  mock.timers.tick(1000);
  t.equal(far.publication.state, 'live', 'longer than a timer can wait');
  far.publication.stop(stopped);
});

t.test('a recording: asked for by the client or ordered by the application server', async (t) => {
  const recorded: string[] = [];
  const disk = { full: false };
  const refuse = (): void => {
    if (disk.full) throw new GatewayError('DISK_FULL', 'The disk is full.');
  };
  const recorders = {
    check: async () => refuse(),
    ensure: async (streamName: string) => {
      refuse();
      recorded.push(streamName);
      return { firstFile: `${streamName}.mp4` };
    },
  };
  const { live, publish, said } = setUp({ recorders });
  const ordering = { publish: async () => ({ record: true }), push: async () => ({}) };

  const recordName = async (request: object): Promise<string | undefined> => {
    const { publication } = await live(request);
    await settled();
    publication.stop(stopped);
    return publication.recordName;
  };
  t.equal(await recordName({ streamName: 'asked', record: true }), 'asked.mp4');
  t.equal(await recordName({ streamName: 'ordered', rights: ordering }), 'ordered.mp4');
  t.equal(await recordName({ streamName: 'plain' }), undefined);
  t.strictSame(recorded, ['asked', 'ordered']);

  disk.full = true;
  const { publication: harmless } = await live({ streamName: 'harmless', rights: ordering });
  await settled();
  t.equal(harmless.state, 'live', 'what the application server orders does not end the publication');
  t.ok(said().includes('recording refused'));
  const refused = publish({ streamName: 'refused', record: true });
  await t.rejects(refused.publication.negotiated, { code: 'DISK_FULL' }, 'the client learns it');
  harmless.stop(stopped);
});

t.test('pushes: started, refused, reported', async (t) => {
  const { live, pushes, lines, said } = setUp();
  const url = (name: string): string => `rtmp://a.example/live/${name}?key=geheim`;
  const rights = {
    publish: async () => ({}),
    push: async (rtmpUrl: string) => {
      if (rtmpUrl === url('forbidden')) throw new GatewayError('FORBIDDEN', 'Not there.');
    },
  };
  const { publication, views, session } = await live({
    rights,
    requestId: 'job-1',
    rtmpUrls: [url('one'), url('forbidden')],
  });
  await settled();
  t.strictSame(pushes.started, [url('one')]);
  t.match(pushes.refused, [[{ streamName: 'cam', rtmpUrl: url('forbidden') }, 'FORBIDDEN']]);
  t.match(views, [
    { mediaSessionId: '', status: 'ended', reason: 'Not there.', destination: 'rtmp://a.example/live/***' },
  ]);
  t.strictSame(said(), ['stream published', 'push refused']);
  t.match(lines[1], { level: 'warn', streamName: 'cam', code: 'FORBIDDEN' });
  t.strictSame(pushes.requestIds, ['job-1']);
  t.match(lines, [{ requestId: 'job-1' }, { requestId: 'job-1' }]);
  t.notMatch(JSON.stringify(lines), /geheim/);

  views.length = 0;
  const publisherAway = { since: '2026-01-01T00:00:00.000Z', until: '2026-01-01T00:00:15.000Z' };
  pushes.change({ ...pushes.view('cam', 'pushing'), publisherAway });
  pushes.change(pushes.view('another', 'pushing'));
  t.match(views, [{ status: 'pushing', publisherAway }]);
  t.equal(views.length, 1);

  session.emit('lost', vanished);
  pushes.refuseWith = new GatewayError('TRANSPONDER_EXISTS', 'It runs.');
  const back = await live({ rtmpUrls: [url('one')] });
  await settled();
  t.match(back.views, [{ mediaSessionId: 'push-1', status: 'connecting' }], 'the push that has continued');
  t.equal(pushes.refused.length, 1, 'and was not refused');
  t.equal(publication.state, 'ended');
});

t.test('a name that another node takes over: the stream ends, also while it is held', async (t) => {
  const takenBy = new GatewayError('STREAM_NAME_IN_USE', 'Another node owns this name.');
  let lease = new AbortController();
  const directory: Directory = {
    claim: async (streamName) => ({ streamName, epoch: 1, lost: lease.signal, release: () => undefined }),
    owner: async () => undefined,
  };
  const { live, publish, registry } = setUp({ directory });
  const first = await live();
  lease.abort(takenBy);
  t.match(first.ends, [{ reason: takenBy }]);
  t.equal(registry.size, 0);

  lease = new AbortController();
  const second = await live();
  second.publication.disconnect(vanished);
  t.equal(registry.size, 1);
  lease.abort(takenBy);
  t.equal(registry.size, 0);

  lease = new AbortController();
  const third = publish();
  await third.publication.negotiated;
  lease.abort(takenBy);
  t.match(third.ends, [{ cause: 'failed', reason: takenBy }]);
  t.ok(third.session.closed);
});

t.test('messages of the publisher reach the players of a live stream', async (t) => {
  const { live, registry } = setUp();
  const { publication } = await live();
  const heard: unknown[] = [];
  registry.find('cam')!.on('message', (message) => heard.push(message));
  publication.announce({ type: 'audioMuted' });
  t.strictSame(heard, [{ type: 'audioMuted' }]);
});

t.test('a held stream is stopped over another connection only by its owner', async (t) => {
  const { registry, live, directory, pushes } = setUp();
  const { publication } = await live();
  const context = { registry, directory, pushes, admission: { check: () => undefined } };
  const publications = new Publications({
    ...context,
    pool: undefined as unknown as WorkerPool,
    logger: createLogger({ log_level: 'error', log_format: 'json' }),
  });
  publications.stopHeld('cam', 'key', 'Stopped by user');
  t.ok(registry.find('cam'), 'it has a publisher');
  publication.disconnect(vanished);
  for (const key of ['other', undefined]) publications.stopHeld('cam', key, 'Stopped by user');
  t.ok(registry.find('cam'));
  publications.stopHeld('cam', 'key', 'Stopped by user');
  t.equal(registry.size, 0);
});

t.test('renewed: the publication ends with the new right', async (t) => {
  const { live } = setUp();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const endsAt = Date.now() + 5000;
  const { publication, ends } = await live({
    rights: { publish: async () => ({ endsAt }), push: async () => undefined },
  });
  publication.renew(endsAt + 10_000);
  mock.timers.tick(14_999);
  t.equal(publication.state, 'live');
  mock.timers.tick(2);
  t.match(ends, [{ cause: 'failed', reason: { code: 'TOKEN_EXPIRED' } }]);
  publication.renew(Date.now() + 1);
  mock.timers.tick(10);
  t.equal(ends.length, 1);

  const forever = await live({
    rights: { publish: async () => ({ endsAt: Date.now() + 5 }), push: async () => undefined },
  });
  forever.publication.renew(undefined);
  mock.timers.tick(1_000_000);
  t.equal(forever.publication.state, 'live');
  forever.publication.stop(stopped);
});

t.test('renamed by the application server', async (t) => {
  const { registry, directory, live, publish, pushes, lines } = setUp();
  const asked: string[] = [];
  const rights = {
    publish: async () => ({ streamName: 'cam-2026' }),
    push: async (rtmpUrl: string, streamName: string) => void asked.push(`${rtmpUrl} of ${streamName}`),
  };
  const { publication, views } = await live({ rights, rtmpUrls: ['rtmp://a.example/live'] });
  await settled();
  t.equal(publication.streamName, 'cam-2026');
  t.equal(registry.find('cam'), undefined);
  t.ok(registry.find('cam-2026')?.publisher);
  t.ok(await directory.owner('cam-2026'));
  t.strictSame(asked, ['rtmp://a.example/live of cam-2026']);
  pushes.change(pushes.view('cam'));
  pushes.change(pushes.view('cam-2026'));
  t.match(views, [{ sourceStreamName: 'cam-2026' }], 'its own pushes are reported');
  t.ok(lines.some(({ msg, streamName }) => msg === 'stream published' && streamName === 'cam-2026'));
  await t.rejects(publish({ rights }).publication.negotiated, { code: 'STREAM_NAME_IN_USE' }, 'a conflict');
  publication.disconnect(vanished);
  const back = await live({ rights });
  t.equal(registry.find('cam-2026')?.publisher, back.session, 'continued by the same client under the new name');
  back.publication.stop(stopped);
});

t.test('pushes that the application server orders', async (t) => {
  const { live, pushes, lines } = setUp();
  const requests: PushRequest[] = [];
  const start = pushes.start.bind(pushes);
  pushes.start = async (request) => (requests.push(request), start(request));
  const ordered = [{ rtmpUrl: 'rtmp://a.example/live/KEY', height: 360 }, { rtmpUrl: 'rtmp://b.example/live' }];
  const asked: string[] = [];
  const rights = { publish: async () => ({ pushes: ordered }), push: async (url: string) => void asked.push(url) };
  const first = await live({ rights, rtmpUrls: ['rtmp://b.example/live', 'rtmp://c.example/live'] });
  await settled();
  t.strictSame(requests, [
    { rtmpUrl: 'rtmp://a.example/live/KEY', height: 360, streamName: 'cam' },
    { rtmpUrl: 'rtmp://b.example/live', streamName: 'cam' },
    { streamName: 'cam', rtmpUrl: 'rtmp://c.example/live' },
  ]);
  t.strictSame(asked, ['rtmp://c.example/live'], 'its order is the right to it');
  first.publication.stop(stopped);

  pushes.refuseWith = new GatewayError('DESTINATION_FORBIDDEN', 'not there');
  const second = await live({ rights });
  await settled();
  t.equal(second.publication.state, 'live');
  t.match(pushes.refused, [
    [{ rtmpUrl: 'rtmp://a.example/live/KEY' }, 'DESTINATION_FORBIDDEN'],
    [{ rtmpUrl: 'rtmp://b.example/live' }, 'DESTINATION_FORBIDDEN'],
  ]);
  t.equal(second.views.length, 2, 'the client learns of it');
  t.notMatch(JSON.stringify(lines), /KEY/);
  second.publication.stop(stopped);
});

t.test('a grant is released once, when the stream has ended', async (t) => {
  const { live, publish, registry } = setUp();
  let released = 0;
  const rights = { publish: async () => ({ release: () => void released++ }), push: async () => undefined };
  const { publication } = await live({ rights });
  publication.stop(stopped);
  t.equal(released, 1);
  publication.stop(stopped);

  const held = await live({ rights });
  held.publication.disconnect(vanished);
  t.equal(released, 1, 'not while the stream is held for the publisher');
  registry.end(registry.find('cam')!, stopped);
  t.equal(released, 2);

  const failing = publish({
    rights,
    openSession: () => Promise.reject(new GatewayError('NO_COMMON_CODECS', 'none')),
  });
  await t.rejects(failing.publication.negotiated, { code: 'NO_COMMON_CODECS' });
  t.equal(released, 3, 'never published');

  const decision = Promise.withResolvers<{ release: () => void }>();
  const early = publish({ rights: { ...rights, publish: () => decision.promise } });
  early.publication.stop(stopped);
  decision.resolve({ release: () => void released++ });
  await settled();
  t.equal(released, 4, 'stopped before the decision');
});
