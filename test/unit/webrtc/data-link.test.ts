import { EventEmitter } from 'node:events';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { DataLink, MAX_DATA_MESSAGE_BYTES } from '../../../src/webrtc/data-link.ts';

class FakeConsumer extends EventEmitter {
  readonly sent: string[] = [];
  readonly observer = new EventEmitter();
  answer: Promise<number> = Promise.resolve(0);
  bufferedAmount = 0;

  send(text: string): Promise<number> {
    this.sent.push(text);
    return this.answer;
  }

  setBufferedAmountLowThreshold(): Promise<void> {
    return Promise.resolve();
  }

  getBufferedAmount(): Promise<number> {
    return Promise.resolve(this.bufferedAmount);
  }
}

class FakeProducer {
  readonly id = String(Math.random());
  closed = false;

  close(): void {
    this.closed = true;
  }
}

/** What a link uses of mediasoup. Consumers and producers are numbered as mediasoup numbers their SCTP streams. */
async function open(remoteRole: 'client' | 'server') {
  const senders: FakeConsumer[] = [];
  const receivers: FakeConsumer[] = [];
  const producers: FakeProducer[] = [];
  const transport = Object.assign(new EventEmitter(), {
    observer: new EventEmitter(),
    sctpState: 'new',
    closed: false,
    consumeData: async () => senders[senders.push(new FakeConsumer()) - 1],
    produceData: async () => producers[producers.push(new FakeProducer()) - 1],
  });
  const directTransport = {
    produceData: async () => producers[producers.push(new FakeProducer()) - 1],
    consumeData: async () => receivers[receivers.push(new FakeConsumer()) - 1],
  };
  const options = { transport, directTransport, remoteRole, logger: silentLogger };
  const link = await DataLink.create(options as never);
  const events: string[] = [];
  link.on('open', () => events.push('open'));
  link.on('message', (text) => events.push(text));
  link.on('closed', () => events.push('closed'));
  return { link, transport, senders, receivers, producers, events };
}

const text = (receiver: FakeConsumer, content: string): void => void receiver.emit('message', Buffer.from(content), 51);

void t.test('answers go to the first channel of the client, then to the one that it uses', async (t) => {
  for (const [role, first] of [
    ['server', 1],
    ['client', 0],
  ] as const) {
    const { link, transport, senders, receivers, events } = await open(role);
    link.send('too early');
    transport.emit('sctpstatechange', 'connected');
    transport.emit('sctpstatechange', 'connected');
    link.send('one');
    t.same(senders[first]!.sent, ['one']);
    text(receivers[1 - first]!, 'hello');
    link.send('two');
    t.same(senders[1 - first]!.sent, ['two']);
    receivers[0]!.emit('message', Buffer.from('binary'), 53);
    t.same(events, ['open', 'hello']);
    link.close();
    link.close();
    text(receivers[0]!, 'late');
    link.send('late');
    t.same(events, ['open', 'hello'], 'nothing follows');
  }
});

void t.test('a data channel ends with its transport, its association, or a client that breaks a limit', async (t) => {
  const ends: [what: string, end: (parts: Awaited<ReturnType<typeof open>>) => void][] = [
    ['transport', ({ transport }) => transport.observer.emit('close')],
    ['association', ({ transport }) => transport.emit('sctpstatechange', 'closed')],
    ['slow client', ({ senders }) => senders[0]!.emit('sctpsendbufferfull')],
    [
      'binary messages',
      ({ receivers }) => {
        for (let sent = 0; sent <= 1000; sent++) receivers[1]!.emit('message', Buffer.alloc(1), 53);
      },
    ],
    ['long message', ({ receivers }) => text(receivers[0]!, 'x'.repeat(MAX_DATA_MESSAGE_BYTES + 1))],
    [
      'worker that does not answer',
      ({ link, senders }) => {
        senders[1]!.answer = new Promise(() => undefined);
        for (let sent = 0; sent < 2000; sent++) link.send('x');
        t.ok(senders[1]!.sent.length <= 1024, 'what waits for the worker is bounded');
      },
    ],
  ];
  for (const [what, end] of ends) {
    const parts = await open('server');
    parts.transport.emit('sctpstatechange', 'connected');
    end(parts);
    parts.transport.observer.emit('close');
    t.same(parts.events, ['open', 'closed'], what);
    t.ok(
      parts.producers.every(({ closed }) => closed),
      `${what}: nothing is left in the worker`,
    );
  }
  const failing = await open('server');
  failing.transport.emit('sctpstatechange', 'connected');
  failing.senders[1]!.answer = Promise.reject(new Error('closed'));
  failing.link.send('x');
  await new Promise((resolve) => setImmediate(resolve));
  t.same(failing.events, ['open', 'closed']);
});

void t.test('a data channel that is closed ends after its last message', async (t) => {
  const { link, transport, senders, producers, events } = await open('client');
  transport.emit('sctpstatechange', 'connected');
  link.send('the reason');
  senders[0]!.bufferedAmount = 10;
  link.close();
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(
    producers.some(({ closed }) => closed),
    'mediasoup resets the stream of a message when a producer of its number closes',
  );
  senders[0]!.emit('bufferedamountlow');
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(
    producers.some(({ closed }) => closed),
    'earlier messages',
  );
  senders[0]!.bufferedAmount = 0;
  senders[0]!.emit('bufferedamountlow');
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(producers.every(({ closed }) => closed));
  senders[0]!.observer.emit('close');

  const idle = await open('client');
  idle.transport.emit('sctpstatechange', 'connected');
  idle.link.close();
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(idle.producers.every(({ closed }) => closed));
  t.same([...events, ...idle.events], ['open', 'open']);
});
