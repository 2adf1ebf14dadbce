import t from 'tap';
import { Outbox, type OutboxSocket } from '../../../src/signaling/outbox.ts';

const MAX_QUEUED_BYTES = 256 * 1024;

/** A client that reads only on request. */
class StuckSocket implements OutboxSocket {
  readonly OPEN = 1;
  readyState = 1;
  readonly queue: { readonly text: string; readonly sent: () => void }[] = [];
  get bufferedAmount(): number {
    return this.queue.reduce((sum, { text }) => sum + text.length, 0);
  }
  send(text: string, sent: () => void): void {
    this.queue.push({ text, sent });
  }
  terminate(): void {
    this.readyState = 3;
    this.read();
  }
  read(): void {
    for (const { sent } of this.queue.splice(0)) sent();
  }
}

const setUp = () => {
  const socket = new StuckSocket();
  const overflows: number[] = [];
  return { socket, overflows, outbox: new Outbox(socket, MAX_QUEUED_BYTES, (bytes) => overflows.push(bytes)) };
};

t.test('a client that does not read is disconnected before more than the bound is queued', async (t) => {
  const { socket, overflows, outbox } = setUp();
  let most = 0;
  for (let index = 0; index < 1000 && outbox.isOpen; index++) {
    outbox.send('x'.repeat(1000));
    most = Math.max(most, socket.bufferedAmount);
  }
  t.notOk(outbox.isOpen);
  t.ok(most > MAX_QUEUED_BYTES - 1000 && most <= MAX_QUEUED_BYTES, `${most} bytes`);
  t.strictSame(overflows, [most]);
  outbox.send('x');
  t.equal(socket.queue.length, 0, 'nothing is sent after it');
});

t.test('bytes are counted, not characters', async (t) => {
  const { outbox } = setUp();
  outbox.send('€'.repeat(MAX_QUEUED_BYTES / 2));
  t.notOk(outbox.isOpen);
});

t.test('one large message passes beside the bound, and the next one waits for it', async (t) => {
  const { socket, outbox } = setUp();
  const large = outbox.sendLarge('x'.repeat(MAX_QUEUED_BYTES * 3));
  outbox.send('x'.repeat(MAX_QUEUED_BYTES));
  t.ok(outbox.isOpen);
  await t.rejects(outbox.sendLarge('x'), /being sent already/);
  socket.read();
  await large;
  const next = outbox.sendLarge('x');
  socket.read();
  await next;
  t.ok(outbox.isOpen);
});

t.test('a large message to a closed or closing client does not wait forever', async (t) => {
  const { socket, outbox } = setUp();
  const large = outbox.sendLarge('x'.repeat(MAX_QUEUED_BYTES * 3));
  socket.terminate();
  await large;
  await outbox.sendLarge('x');
  t.equal(socket.queue.length, 0);
});
