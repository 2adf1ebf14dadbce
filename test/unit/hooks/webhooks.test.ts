import t from 'tap';
import type { Test } from 'tap';
import { z } from 'zod';
import type { Delivery } from '../../../src/hooks/delivery-queue.ts';
import type { GatewayEvent } from '../../../src/hooks/events.ts';
import type { SendResult } from '../../../src/hooks/webhook-sender.ts';
import { Webhooks, type WebhooksOptions } from '../../../src/hooks/webhooks.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Metrics } from '../../../src/observe/metrics.ts';
import { MemoryStore } from '../../../src/store/memory-store.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { waitFor } from '../../helpers/wait.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Answer = (delivery: Delivery) => SendResult | Promise<SendResult>;
const delivered: Answer = () => ({ result: 'delivered' });
const failing: Answer = () => ({ result: 'failed', reason: 'status 500' });

const A = 'http://a.example/hook';
const B = 'http://b.example/hook';

function event(stream: string, number: number): GatewayEvent {
  return {
    type: 'stream.ended',
    timestamp: new Date(0).toISOString(),
    data: { stream, startedAt: new Date(0).toISOString(), code: 'STREAM_STOPPED', reason: String(number) },
  };
}

async function setUp(t: Test, answers: Record<string, Answer>, options: Partial<WebhooksOptions> = {}) {
  const clock = new FakeClock();
  const store = new MemoryStore({ logger: silentLogger });
  const metrics = new Metrics();
  /** Attempts as `STREAM NUMBER`, by URL. */
  const attempts: Record<string, string[]> = {};
  const received: Record<string, Delivery[]> = {};
  const create = (): Promise<Webhooks> =>
    Webhooks.create({
      urls: Object.keys(answers),
      events: ['*'],
      createSender: (url) => async (delivery, signal) => {
        const { data } = JSON.parse(delivery.body);
        (attempts[url.href] ??= []).push(`${data.stream} ${data.reason}`);
        const aborted = new Promise<SendResult>((resolve) =>
          signal.addEventListener('abort', () => resolve({ result: 'failed', reason: 'aborted' })),
        );
        const result = await Promise.race([answers[url.href]!(delivery), aborted]);
        if (result.result === 'delivered') (received[url.href] ??= []).push(delivery);
        return result;
      },
      store,
      metrics: new Metrics(),
      clock,
      random: () => 0,
      closeWaitMs: 20,
      logger: silentLogger,
      ...options,
    });
  const webhooks = await create();
  t.teardown(() => webhooks.close());
  return { clock, store, metrics, attempts, received, answers, create, webhooks };
}

const reasons = (deliveries: readonly Delivery[] = [], stream: string): string[] =>
  deliveries
    .map(({ body }) => JSON.parse(body).data)
    .filter((data) => data.stream === stream)
    .map(({ reason }) => reason);

t.test('a receiver that is down for minutes gets everything, in order for each stream', async (t) => {
  const { clock, webhooks, answers, received, attempts } = await setUp(t, { [A]: failing, [B]: delivered });
  for (let number = 0; number < 10; number++) for (const stream of ['x', 'y']) webhooks.publish(event(stream, number));
  await clock.passSettled(60_000);
  t.strictSame(attempts[A], ['x 0', 'y 0', 'x 0', 'y 0', 'x 0', 'y 0'], 'after 0, 5 and 35 s');
  t.strictSame(reasons(received[B], 'x'), [...'0123456789'], 'the other URL does not wait');
  answers[A] = delivered;
  await clock.passSettled(120_000);
  for (const stream of ['x', 'y']) t.strictSame(reasons(received[A], stream), [...'0123456789'], stream);
});

t.test('an attempt keeps its id', async (t) => {
  const ids: string[] = [];
  const { clock, webhooks } = await setUp(t, {
    [A]: ({ id }) => {
      ids.push(id);
      return { result: 'failed', reason: 'status 500' };
    },
  });
  webhooks.publish(event('x', 0));
  await clock.passSettled(40_000);
  t.equal(ids.length, 3);
  t.equal(new Set(ids).size, 1);
});

t.test('a stream whose request hangs does not hold up the others', async (t) => {
  const { clock, webhooks, received } = await setUp(t, {
    [A]: ({ lane }) => (lane === 'slow' ? new Promise(() => {}) : { result: 'delivered' }),
  });
  webhooks.publish(event('slow', 0));
  for (let number = 0; number < 20; number++) webhooks.publish(event('quick', number));
  await clock.passSettled(0);
  t.equal(reasons(received[A], 'quick').length, 20);
});

t.test('a slow receiver gets eight requests at a time', async (t) => {
  let open = 0;
  let most = 0;
  const { webhooks, received } = await setUp(t, {
    [A]: async () => {
      most = Math.max(most, ++open);
      await settled();
      open--;
      return { result: 'delivered' };
    },
  });
  for (let number = 0; number < 100; number++) webhooks.publish(event(`stream ${number}`, 0));
  await waitFor('all deliveries', () => received[A]?.length === 100);
  t.equal(most, 8);
});

t.test('queued events survive a restart', async (t) => {
  const { clock, webhooks, answers, received, create, store } = await setUp(t, { [A]: failing });
  for (let number = 0; number < 3; number++) webhooks.publish(event('x', number));
  await clock.passSettled(5000);
  await webhooks.close();
  webhooks.publish(event('x', 99));
  answers[A] = delivered;
  const next = await create();
  t.teardown(() => next.close());
  next.publish(event('x', 3));
  await clock.passSettled(0);
  t.strictSame(reasons(received[A], 'x'), ['0', '1', '2', '3']);
  t.equal(received[A]![0]!.attempts, 2, 'attempts are counted across restarts');
  await next.close();
  t.strictSame(await store.records('webhooks', z.unknown()).list(), [], 'nothing is left');
});

t.test('events for a URL that is no longer configured are removed', async (t) => {
  const { clock, webhooks, store, received } = await setUp(t, { [A]: failing, [B]: delivered });
  webhooks.publish(event('x', 0));
  await clock.passSettled(0);
  await webhooks.close();
  const records = store.records('webhooks', z.unknown());
  t.equal((await records.list()).length, 1);
  const next = await Webhooks.create({
    urls: [B],
    events: ['*'],
    createSender: () => async () => ({ result: 'delivered' }),
    store,
    metrics: new Metrics(),
    clock,
    random: () => 0,
    logger: silentLogger,
  });
  t.teardown(() => next.close());
  t.strictSame(await records.list(), []);
  t.equal(received[B]!.length, 1);
});

t.test('410 disables the URL until the restart', async (t) => {
  const metrics = new Metrics();
  const { clock, webhooks, attempts } = await setUp(
    t,
    { [A]: () => ({ result: 'gone' }), [B]: delivered },
    { metrics },
  );
  for (let number = 0; number < 3; number++) webhooks.publish(event('x', number));
  await clock.passSettled(0);
  webhooks.publish(event('x', 3));
  await clock.passSettled(86_400_000);
  t.strictSame(attempts[A], ['x 0']);
  t.equal(attempts[B]!.length, 4);
  t.match(await metrics.render(), /gateway_webhook_deliveries_total\{result="gone"\} 1/);
  t.match(await metrics.render(), /gateway_webhook_queue 0/);
});

t.test('a full queue drops the oldest events and counts them', async (t) => {
  const metrics = new Metrics();
  const { clock, webhooks, answers, received } = await setUp(t, { [A]: failing }, { metrics, queueLimit: 3 });
  for (let number = 0; number < 3; number++) webhooks.publish(event('x', number));
  await clock.passSettled(1000);
  webhooks.publish(event('x', 3));
  t.match(await metrics.render(), /gateway_webhooks_dropped_total 1\n/);
  t.match(await metrics.render(), /gateway_webhook_queue 3\n/);
  answers[A] = delivered;
  await clock.passSettled(10_000);
  t.strictSame(reasons(received[A], 'x'), ['1', '2', '3']);
  t.match(await metrics.render(), /gateway_webhook_deliveries_total\{result="delivered"\} 3/);
  t.match(await metrics.render(), /gateway_webhook_deliveries_total\{result="retried"\} 2/);
});

t.test('only the chosen events are sent', async (t) => {
  const { clock, webhooks, attempts } = await setUp(t, { [A]: delivered }, { events: ['push.*', 'stream.lost'] });
  webhooks.publish(event('x', 0));
  await clock.passSettled(0);
  t.equal(attempts[A], undefined);
  webhooks.publish({
    type: 'stream.lost',
    timestamp: '',
    data: { stream: 'x', until: '' },
  });
  await clock.passSettled(0);
  t.equal(attempts[A]!.length, 1);
});

t.test('close does not wait for a receiver that hangs', async (t) => {
  const { webhooks, create, answers, received, clock } = await setUp(t, { [A]: () => new Promise(() => {}) });
  webhooks.publish(event('x', 0));
  await Promise.all([webhooks.close(), webhooks.close()]);
  answers[A] = delivered;
  const next = await create();
  t.teardown(() => next.close());
  await clock.passSettled(0);
  t.strictSame(reasons(received[A], 'x'), ['0'], 'its event was kept');
  t.equal(received[A]![0]!.attempts, 0, 'and the end of the gateway does not count as a failure');
});
