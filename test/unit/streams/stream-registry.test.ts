import { mock } from 'node:test';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import type { Publisher } from '../../../src/streams/live-stream.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';

class FakePublisher implements Publisher {
  readonly id = 'publisher';
  closedBy: GatewayError | undefined;
  close(reason: GatewayError): void {
    this.closedBy = reason;
  }
}
const stopped = new GatewayError('STREAM_STOPPED', 'Stopped by user');
const code = (code: string): { code: string } => ({ code });

t.test('one name, one publisher', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 1000, maxStreams: 2 });
  const publisher = new FakePublisher();
  const stream = registry.publish('a', publisher);
  t.throws(() => registry.check('a'), code('STREAM_NAME_IN_USE'));
  t.throws(() => registry.publish('a', new FakePublisher()), code('STREAM_NAME_IN_USE'));
  registry.publish('b', new FakePublisher());
  t.throws(() => registry.check('c'), code('LIMIT_REACHED'));
  registry.end(stream, stopped);
  t.equal(publisher.closedBy, stopped);
  t.equal(stream.publisher, undefined);
  t.equal(registry.find('a'), undefined);
  const next = registry.publish('a', new FakePublisher());
  registry.end(stream, stopped);
  t.equal(registry.find('a'), next, 'the new owner of the name keeps it');
  registry.close(stopped);
  t.equal(registry.size, 0);
});

t.test('a reserved name is taken until it is released or used', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 1000, maxStreams: 1 });
  const reservation = registry.reserve('a');
  t.throws(() => registry.reserve('a'), code('STREAM_NAME_IN_USE'));
  t.throws(() => registry.check('b'), code('LIMIT_REACHED'), 'reservations count');
  reservation.release();
  reservation.release();
  const second = registry.reserve('a');
  reservation.release();
  t.throws(() => registry.reserve('a'), code('STREAM_NAME_IN_USE'), 'a used reservation releases nothing');
  const stream = second.publish(new FakePublisher());
  second.release();
  t.equal(registry.find('a'), stream);
  t.throws(() => second.publish(new FakePublisher()));
  registry.close(stopped);
});

t.test('a lost publisher may return with the same key until the resume window closes', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const registry = new StreamRegistry({ resumeWindowMs: 1000, maxStreams: 5 });
  const first = new FakePublisher();
  const stream = registry.publish('a', first, 'key');
  const events: string[] = [];
  stream.on('lost', () => events.push('lost'));
  stream.on('published', () => events.push('published'));
  stream.on('ended', (reason) => events.push(reason.code));

  registry.lose(stream, new FakePublisher());
  t.same(events, [], 'another publisher was lost');
  registry.lose(stream, first);
  t.ok(registry.resumable('a', 'key'));
  t.notOk(registry.resumable('a', 'other'));
  t.throws(() => registry.reserve('a', 'other'), code('STREAM_NAME_IN_USE'));
  const back = new FakePublisher();
  t.equal(registry.reserve('a', 'key').publish(back), stream);
  mock.timers.tick(5000);
  t.same(events, ['lost', 'published'], 'the return stops the window');

  registry.lose(stream, back);
  mock.timers.tick(999);
  t.equal(stream.endedBy, undefined);
  const late = registry.reserve('a', 'key');
  mock.timers.tick(1);
  t.same(events, ['lost', 'published', 'lost', 'PUBLISHER_LOST']);
  t.not(late.publish(new FakePublisher()), stream, 'a publisher that returns too late starts a new stream');
  registry.close(stopped);
});

t.test('the frame size is emitted when it changes, and reset when the publisher is lost', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 1000, maxStreams: 5 });
  const publisher = new FakePublisher();
  const stream = registry.publish('a', publisher);
  const sizes: string[] = [];
  stream.on('resized', ({ width, height }) => sizes.push(`${width}x${height}`));
  for (const [width, height] of [
    [640, 360],
    [640, 360],
    [640, 480],
  ] as const)
    stream.resize({ width, height });
  t.strictSame(sizes, ['640x360', '640x480']);
  registry.lose(stream, publisher);
  t.equal(stream.frameSize, undefined);
  registry.close(stopped);
});

t.test('without a resume window a loss ends the stream', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 5 });
  const publisher = new FakePublisher();
  const stream = registry.publish('a', publisher);
  registry.lose(stream, publisher);
  t.equal(stream.endedBy?.code, 'PUBLISHER_LOST');
});

t.test('a closed registry refuses further streams with the reason of its end', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 1000, maxStreams: 5 });
  const stream = registry.publish('a', new FakePublisher());
  const connecting = registry.reserve('b');
  registry.close(new GatewayError('SHUTTING_DOWN', 'closing'));
  t.equal(stream.endedBy?.code, 'SHUTTING_DOWN');
  t.throws(() => connecting.publish(new FakePublisher()), { code: 'SHUTTING_DOWN' });
  t.throws(() => registry.reserve('c'), { code: 'SHUTTING_DOWN' });
  registry.close(stopped);
  t.throws(() => registry.reserve('a'), { code: 'SHUTTING_DOWN' }, 'the first reason stays');
});
