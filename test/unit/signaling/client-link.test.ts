import { EventEmitter } from 'node:events';
import t, { type Test } from 'tap';
import type { WebSocket } from 'ws';
import { limitHits } from '../../../src/observe/limits.ts';
import { ClientLink } from '../../../src/signaling/client-link.ts';
import { silentLogger } from '../../../src/observe/logger.ts';

/** The server's side of a WebSocket, which records what is done with it. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: unknown[] = [];
  readonly done: unknown[] = [];

  send(data: unknown): void {
    this.sent.push(typeof data === 'string' ? (JSON.parse(data) as unknown) : data);
  }

  close(code: number, reason: string): void {
    this.readyState = 2;
    this.done.push([code, reason]);
  }

  terminate(): void {
    this.done.push('terminated');
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.emit('close', 1006);
  }

  pause(): void {
    this.done.push('paused');
  }

  receive(message: string, ...data: unknown[]): void {
    this.emit('message', Buffer.from(JSON.stringify({ message, data })), false);
  }
}

function open(t: Test, more: { readonly receive?: (message: string) => unknown; readonly burst?: number } = {}) {
  const socket = new FakeSocket();
  const heard: unknown[] = [];
  const link = new ClientLink(
    socket as unknown as WebSocket,
    { limits: { messages: { perSecond: 1, burst: more.burst ?? 50 }, queuedBytes: 1000 }, logger: silentLogger },
    {
      connect: (connection) => heard.push(connection),
      receive: (message, argument, text) => {
        heard.push([message, argument, JSON.parse(text)]);
        return more.receive?.(message);
      },
      closed: () => heard.push('closed'),
    },
  );
  t.teardown(() => link.terminate());
  return { socket, heard, link };
}

t.test('one connection first, then messages; pings are answered', async (t) => {
  const { socket, heard } = open(t);
  socket.receive('publishStream', { name: 'early' });
  socket.receive('connection', 'malformed');
  socket.receive('connection', { custom: 1 });
  socket.receive('connection', { custom: 2 });
  socket.receive('ping');
  socket.receive('pong');
  for (const text of ['', '[]', '{"message":7}']) socket.emit('message', Buffer.from(text), false);
  socket.emit('message', Buffer.from('{"message":"playStream"}'), true);
  socket.receive('playStream', { name: 'cam' }, 'ignored');
  t.strictSame(heard, [
    { appKey: 'defaultApp', custom: 1 },
    ['playStream', { name: 'cam' }, { message: 'playStream', data: [{ name: 'cam' }, 'ignored'] }],
  ]);
  t.strictSame(socket.sent, [{ message: 'pong', data: [] }]);
  t.strictSame(socket.done, []);
});

t.test('a connection that is too large is closed with 1009, and nothing of it is used', async (t) => {
  const { socket, heard } = open(t);
  socket.receive('connection', { custom: 'x'.repeat(70_000) });
  t.strictSame(socket.done, [[1009, '"connection" is too large']]);
  socket.receive('playStream', {});
  t.strictSame(heard, []);
});

t.test('a flood is counted and cut off: nothing more is read', async (t) => {
  const before = limitHits.counts.get('max_ws_messages_per_second') ?? 0;
  const { socket, heard } = open(t, { burst: 2 });
  socket.receive('connection', {});
  for (let i = 0; i < 5; i++) socket.receive('playStream', i);
  t.equal(heard.length, 2);
  t.strictSame(socket.done, [[1008, 'too many messages'], 'paused']);
  t.equal(limitHits.counts.get('max_ws_messages_per_second'), before + 1);
});

t.test('a client that does not read is counted and disconnected', async (t) => {
  const before = limitHits.counts.get('max_ws_queued_kb') ?? 0;
  const { socket, heard, link } = open(t);
  socket.bufferedAmount = 1000;
  link.sendText('{}');
  t.strictSame(socket.done, ['terminated']);
  t.strictSame(heard, ['closed']);
  t.equal(limitHits.counts.get('max_ws_queued_kb'), before + 1);
});

t.test('a refusal breaks the connection of the Web SDK, and closes that of others', async (t) => {
  const fail = { message: 'fail', data: [{ apiMethod: 'connection', status: 'FAILED', info: 'no' }] };
  for (const [connection, more] of [
    [{ msePacketizationVersion: 2 }, [Buffer.from([0xff])]],
    [{}, []],
  ] as const) {
    const { socket, link } = open(t);
    socket.receive('connection', connection);
    link.refuse('no');
    t.strictSame(socket.sent, [fail, ...more]);
    t.strictSame(socket.done, [[1008, 'connection refused']]);
  }
});

t.test('close(): waits for the client, not for long, and is idempotent', async (t) => {
  const { socket, heard, link } = open(t);
  const closing = [link.close(), link.close()];
  socket.readyState = 3;
  socket.emit('close', 1001);
  await Promise.all(closing);
  t.strictSame(heard, ['closed']);
  const silent = open(t);
  await silent.link.close();
  t.strictSame(silent.socket.done, [[1001, 'going away'], 'terminated']);
});
