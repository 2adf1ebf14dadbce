import { EventEmitter } from 'node:events';
import { mock } from 'node:test';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Players } from '../../../src/sessions/players.ts';
import type { FrameSize, LiveStream, Playback, PlaybackEvents, Publisher } from '../../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';

class FakePlayback extends EventEmitter<PlaybackEvents> implements Playback {
  readonly id = 'player';
  readonly answerSdp = 'answer';
  readonly hasVideo = true;
  closed = false;
  close(): void {
    this.closed = true;
  }
}

class FakePublisher implements Publisher {
  readonly id = 'publisher';
  readonly playbacks: FakePlayback[] = [];
  opened = Promise.resolve();
  async play(): Promise<Playback> {
    await this.opened;
    const playback = new FakePlayback();
    this.playbacks.push(playback);
    return playback;
  }
  close(): void {}
}

const stopped = new GatewayError('STREAM_STOPPED', 'Stopped by user');
const request = { streamName: 'cam', offerSdp: 'offer', logger: silentLogger };

function setUp(learnFrameSize?: (stream: LiveStream) => Promise<void>) {
  const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: 2 });
  const publisher = new FakePublisher();
  const stream = registry.publish('cam', publisher);
  return { registry, publisher, stream, players: new Players({ registry, maxPlayers: 2, learnFrameSize }) };
}

t.test('the limit counts the players of all doors, also those that are connecting', async (t) => {
  const { registry, players, publisher, stream } = setUp();
  const [first, second] = await Promise.all([players.play(request), players.play(request)]);
  t.equal(players.count, 2);
  await t.rejects(players.play(request), { code: 'LIMIT_REACHED' });
  await t.rejects(players.play({ ...request, streamName: 'none' }), { code: 'STREAM_NOT_FOUND' });
  first!.close();
  t.equal(await first!.ended, undefined, 'closed by the player itself');
  t.equal(players.count, 1);
  t.ok(publisher.playbacks[0]!.closed);

  const gone = new GatewayError('PLAYER_LOST', 'vanished');
  publisher.playbacks[1]!.emit('lost', gone);
  t.equal(await second!.ended, gone);
  t.equal(players.count, 0);
  registry.end(stream, stopped);
});

t.test('a publisher that stops or is lost ends its players', async (t) => {
  const { registry, players, publisher, stream } = setUp();
  const first = await players.play(request);
  registry.lose(stream, publisher);
  t.match(await first.ended, { code: 'STREAM_STOPPED' });
  await t.rejects(players.play(request), { code: 'STREAM_NOT_FOUND' }, 'nothing to play while the stream is held');
  registry.publish('cam', publisher);
  const second = await players.play(request);
  registry.end(stream, stopped);
  t.match(await second.ended, { code: 'STREAM_STOPPED' });
  t.equal(players.count, 0);
  t.equal(stream.listenerCount('ended') + stream.listenerCount('lost') + stream.listenerCount('message'), 0);
});

t.test('a publisher that leaves while the player is being created', async (t) => {
  const { registry, players, publisher, stream } = setUp();
  const opened = Promise.withResolvers<void>();
  publisher.opened = opened.promise;
  const playing = players.play(request);
  registry.end(stream, stopped);
  opened.resolve();
  await t.rejects(playing, { code: 'STREAM_NOT_FOUND' });
  t.ok(publisher.playbacks[0]!.closed);
  t.equal(players.count, 0);
});

t.test('a source that cannot be played is refused with a reason', async (t) => {
  const { registry, players } = setUp();
  registry.publish('file', { id: 'file', close: () => undefined });
  await t.rejects(players.play({ ...request, streamName: 'file' }), {
    code: 'NOT_IMPLEMENTED',
    message: 'The source of this stream cannot be played.',
  });
});

t.test('messages and frame sizes', async (t) => {
  const learned: string[] = [];
  const { registry, players, publisher, stream } = setUp(async ({ name }) => void learned.push(name));
  stream.resize({ width: 640, height: 360 });
  const plain = await players.play(request);
  const sized = await players.play({ ...request, frameSize: true });
  const reported: unknown[] = [];
  plain.on('resized', () => t.fail('not requested'));
  sized.on('connected', () => reported.push('connected'));
  sized.on('resized', ({ width, height }: FrameSize) => reported.push(`${width}x${height}`));
  sized.on('message', ({ type }) => reported.push(type));
  stream.resize({ width: 640, height: 480 });
  for (const playback of publisher.playbacks) playback.emit('connected');
  stream.resize({ width: 320, height: 240 });
  stream.emit('message', { type: 'audioMuted' });
  sized.close();
  stream.resize({ width: 16, height: 16 });
  t.strictSame(reported, ['connected', '640x480', '320x240', 'audioMuted']);
  t.strictSame(learned, ['cam']);
  registry.end(stream, stopped);
});

t.test('a player ends when its right ends, unless it was renewed', async (t) => {
  const { players, publisher } = setUp();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.teardown(() => mock.timers.reset());
  const endsAt = Date.now() + 5000;
  const [first, second] = [await players.play({ ...request, endsAt }), await players.play({ ...request, endsAt })];
  second.renew(endsAt + 5000);
  mock.timers.tick(5001);
  t.match(await first.ended, { code: 'TOKEN_EXPIRED', message: /right to play/ });
  t.ok(publisher.playbacks[0]!.closed);
  t.notOk(publisher.playbacks[1]!.closed);
  t.equal(players.count, 1);
  mock.timers.tick(5000);
  t.match(await second.ended, { code: 'TOKEN_EXPIRED' });
  second.renew(Date.now() + 1);
  t.equal(players.count, 0);
});
