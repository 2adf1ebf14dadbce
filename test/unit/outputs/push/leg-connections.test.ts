import t from 'tap';
import { parseDestination } from '../../../../src/net/destination.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { LegConnections } from '../../../../src/outputs/push/leg-connections.ts';

const place = parseDestination('rtmp://other.example/live', 'cam', { streamNamePrefix: '', fullUrl: false });

class Connection {
  readonly framesDropped = 1;
  bytesSent: number;
  isClosed = false;
  readonly #closing = Promise.withResolvers<void>();

  constructor(bytesSent: number) {
    this.bytesSent = bytesSent;
  }

  close(): Promise<void> {
    this.isClosed = true;
    return this.#closing.promise;
  }

  finish(): void {
    this.#closing.resolve();
  }

  fail(): void {
    this.#closing.reject(new Error('the socket is stuck'));
  }
}

function twoConnections() {
  const connections = new LegConnections<Connection>(silentLogger);
  const old = new Connection(10);
  const other = new Connection(5);
  connections.use(old);
  connections.offer({ connection: other, place });
  return { connections, old, other };
}

t.test('a replacement takes over, and the connection before it is closed', async (t) => {
  const { connections, old, other } = twoConnections();
  t.equal(connections.adopt().place, place);
  t.equal(connections.current, other);
  t.equal(connections.replacement, undefined);
  t.strictSame([old.isClosed, other.isClosed], [true, false]);
  other.bytesSent = 7;
  t.strictSame(connections.counters, { bytesSent: 17, framesDropped: 2 });
});

t.test('a replacement that is dropped is closed, and the connection goes on', async (t) => {
  const { connections, old, other } = twoConnections();
  connections.dropReplacement();
  t.equal(connections.current, old);
  t.equal(connections.replacement, undefined);
  t.strictSame([old.isClosed, other.isClosed], [false, true]);
  t.strictSame(connections.counters, { bytesSent: 15, framesDropped: 2 });
});

t.test('closing closes both, waits for them, and keeps what they have counted', async (t) => {
  const { connections, old, other } = twoConnections();
  connections.close();
  connections.close();
  t.equal(connections.current, undefined);
  t.strictSame([old.isClosed, other.isClosed], [true, true]);
  t.strictSame(connections.counters, { bytesSent: 15, framesDropped: 2 });
  let isClosed = false;
  const closed = connections.closed.then(() => (isClosed = true));
  old.fail();
  await new Promise(setImmediate);
  t.notOk(isClosed);
  other.finish();
  await closed;
});
