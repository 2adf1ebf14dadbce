import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import WebSocket, { WebSocketServer } from 'ws';
import type { NodeRecord } from '../../../src/cluster/cluster-store.ts';
import { NodeRegistry } from '../../../src/cluster/node-registry.ts';
import { FORWARDED_CLIENT_HEADER, ForwardedClients } from '../../../src/net/forwarded-client.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { wcsLimits } from '../../../src/signaling/wcs-limits.ts';
import { openRoutingServer } from '../../../src/signaling/manager/routing-server.ts';
import { ModelStore, RedisModel } from '../../helpers/cluster-redis-model.ts';
import { waitFor } from '../../helpers/wait.ts';

const clients = new ForwardedClients(Buffer.alloc(32, 5).toString('base64'));

interface Message {
  readonly message: string;
  readonly data: readonly Record<string, unknown>[];
}

/** A node that accepts pages and answers every `publishStream` with PUBLISHING. */
class FakeNode {
  readonly id: string;
  readonly port: number;
  readonly received: Message[] = [];
  readonly requests: {
    readonly url?: string | undefined;
    readonly client?: string | undefined;
    readonly origin?: string | undefined;
  }[] = [];
  readonly #server: WebSocketServer;

  private constructor(id: string, server: WebSocketServer, refusal: string | undefined) {
    this.id = id;
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket, { url, headers }) => {
      const send = (message: string, ...data: unknown[]): void => socket.send(JSON.stringify({ message, data }));
      this.requests.push({ url, client: clients.verify(headers[FORWARDED_CLIENT_HEADER]), origin: headers.origin });
      socket.on('message', (text: Buffer) => {
        const one = JSON.parse(String(text)) as Message;
        this.received.push(one);
        const [argument = {}] = one.data;
        if (one.message === 'connection') {
          send('ping');
          if (refusal) {
            send('fail', { apiMethod: 'connection', status: 'FAILED', info: refusal, code: 'TOKEN_EXPIRED' });
            return socket.close(1008);
          }
          send('getVersion', '1');
          send('getUserData', {
            ...argument,
            status: 'ESTABLISHED',
            authToken: argument['authToken'] ?? `guest-${id}`,
          });
        }
        if (one.message === 'publishStream') {
          send('setRemoteSDP', argument['mediaSessionId'], `answer of ${id}`, true);
          send('notifyStreamStatusEvent', { ...argument, status: 'PUBLISHING' });
        }
        if (one.message === 'unPublishStream') send('notifyStreamStatusEvent', { ...argument, status: 'UNPUBLISHED' });
      });
    });
  }

  static async start(t: Test, id: string, refusal?: string): Promise<FakeNode> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await new Promise((resolve) => server.once('listening', resolve));
    const node = new FakeNode(id, server, refusal);
    t.teardown(() => node.kill());
    return node;
  }

  got(message: string): number {
    return this.received.filter((one) => one.message === message).length;
  }

  kill(): void {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }

  get record(): NodeRecord {
    return {
      id: this.id,
      instance: this.id,
      url: `http://127.0.0.1:${this.port}`,
      wsUrl: `ws://127.0.0.1:${this.port}`,
      region: '',
      group: '',
      state: 'in-service',
      version: '1',
      capacity: 100,
      publications: 0,
      pushes: 0,
      encoders: 0,
      cpu: 0,
      overloaded: false,
      drain: 'no',
      toMove: 0,
      beat: 1,
      startedAt: 0,
    };
  }
}

class Page {
  readonly received: Message[] = [];
  readonly socket: WebSocket;
  closed: number | undefined;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.socket = new WebSocket(url, { headers });
    this.socket.on('message', (data, isBinary) => {
      if (!isBinary) this.received.push(JSON.parse(String(data)) as Message);
    });
    this.socket.on('close', (code) => (this.closed = code));
    this.socket.on('error', () => undefined);
  }

  async connect(): Promise<void> {
    await new Promise((resolve) => this.socket.once('open', resolve));
    this.send('connection', { appKey: 'app' });
  }

  send(message: string, argument: object): void {
    this.socket.send(JSON.stringify({ message, data: [argument] }));
  }

  statuses(mediaSessionId: string): unknown[] {
    return this.received
      .filter(
        ({ message, data }) => message === 'notifyStreamStatusEvent' && data[0]?.['mediaSessionId'] === mediaSessionId,
      )
      .map(({ data }) => data[0]?.['status']);
  }

  count(message: string): number {
    return this.received.filter((one) => one.message === message).length;
  }
}

async function setUp(t: Test, nodes: readonly FakeNode[]) {
  const store = new ModelStore(new RedisModel(() => Date.now()));
  const registry = new NodeRegistry({ store, managerId: 'm', logger: silentLogger, probe: async () => false });
  // The first node is the least loaded one.
  for (const [index, node] of nodes.entries()) await store.beat({ ...node.record, publications: index }, 60_000);
  await registry.poll();
  const server = await openRoutingServer({
    registry,
    clients,
    region: '',
    version: '1',
    limits: wcsLimits(SettingsSchema.parse({})),
    logger: silentLogger,
    host: '127.0.0.1',
    port: 0,
    setting: 'ws.port',
    allowOrigin: (origin) => origin !== 'https://evil.example',
  });
  t.teardown(() => server.close());
  const open = async (path = '/'): Promise<Page> => {
    const page = new Page(`ws://127.0.0.1:${server.port}${path}`, { origin: 'https://page.example' });
    t.teardown(() => page.socket.terminate());
    await page.connect();
    return page;
  };
  return { store, registry, server, open };
}

t.test('a page has one connection, and its streams are on the nodes that own them', async (t) => {
  const [a, b] = [await FakeNode.start(t, 'a'), await FakeNode.start(t, 'b')];
  const { store, open } = await setUp(t, [a, b]);
  await store.claim('on-b', { id: 'b', instance: 'b' }, { ttlMs: 5000 });
  const page = await open('/ws?token=secret');
  await waitFor('the connection', () => page.count('getUserData') === 1);
  t.match(a.requests, [{ url: '/ws?token=secret', client: '127.0.0.1', origin: 'https://page.example' }]);
  t.equal(b.requests.length, 0);
  page.send('publishStream', { mediaSessionId: 'p', name: 'new', sdp: 'offer' });
  page.send('playStream', { mediaSessionId: 'q', name: 'on-b', sdp: 'offer' });
  await waitFor('both nodes', () => a.got('publishStream') === 1 && b.got('playStream') === 1);
  t.match(
    b.received[0],
    { message: 'connection', data: [{ appKey: 'app', authToken: 'guest-a' }] },
    'the same identity',
  );
  await waitFor('the answer', () => page.statuses('p').includes('PUBLISHING'));
  t.equal(page.count('getUserData'), 1);
  t.equal(page.count('ping'), 0, 'pings of nodes are answered by the manager');
  t.ok(a.got('pong') === 1 && b.got('pong') === 1);
  page.send('stopStream', { mediaSessionId: 'q', name: 'on-b' });
  page.send('sendData', { operationId: 1 });
  await waitFor('the stop and the data', () => b.got('stopStream') === 1 && a.got('sendData') === 1);
  page.send('unPublishStream', { mediaSessionId: 'p', name: 'new' });
  await waitFor('the end', () => page.statuses('p').includes('UNPUBLISHED'));
  page.socket.close();
  await waitFor('the end of the links', () => page.closed !== undefined);
});

t.test('when a node is killed its streams fail, and are published again over the same connection', async (t) => {
  const [a, b] = [await FakeNode.start(t, 'a'), await FakeNode.start(t, 'b')];
  const { open } = await setUp(t, [a, b]);
  const page = await open();
  await waitFor('the connection', () => page.count('getUserData') === 1);
  page.send('publishStream', { mediaSessionId: 'p1', name: 'cam', sdp: 'offer' });
  await waitFor('publishing', () => page.statuses('p1').includes('PUBLISHING'));
  a.kill();
  await waitFor('the failure', () => page.statuses('p1').includes('FAILED'));
  page.send('publishStream', { mediaSessionId: 'p2', name: 'cam', sdp: 'offer' });
  await waitFor('publishing', () => page.statuses('p2').includes('PUBLISHING'));
  t.strictSame(page.statuses('p2'), ['PUBLISHING'], 'the page does not see that the first node was tried once more');
  t.equal(b.got('publishStream'), 1);
  t.equal(page.closed, undefined);
  t.equal(page.count('getUserData'), 1);
});

t.test('a node that hangs is given up when its heartbeat is gone', async (t) => {
  const [a, b] = [await FakeNode.start(t, 'a'), await FakeNode.start(t, 'b')];
  const { store, registry, open } = await setUp(t, [a, b]);
  const page = await open();
  page.send('publishStream', { mediaSessionId: 'p1', name: 'cam', sdp: 'offer' });
  await waitFor('publishing', () => page.statuses('p1').includes('PUBLISHING'));
  await store.leave({ id: 'a', instance: 'a' });
  await registry.poll();
  await waitFor('the failure', () => page.statuses('p1').includes('FAILED'));
  page.send('sendData', { operationId: 1 });
  await waitFor('another home', () => b.got('sendData') === 1);
});

t.test('a page that a node refuses learns why', async (t) => {
  const refusing = await FakeNode.start(t, 'a', 'The token has expired.');
  const other = await FakeNode.start(t, 'b');
  const { open } = await setUp(t, [refusing, other]);
  const page = await open();
  await waitFor('the refusal', () => page.closed !== undefined);
  t.match(page.received.at(-1), {
    message: 'fail',
    data: [{ apiMethod: 'connection', info: 'The token has expired.', code: 'TOKEN_EXPIRED' }],
  });
  t.equal(page.closed, 1008);
  t.equal(other.requests.length, 0, 'another node is not asked');
});

t.test('without a node that answers, the connection is refused; with one of two, it is not', async (t) => {
  const { open } = await setUp(t, []);
  const refused = await open();
  await waitFor('the refusal', () => refused.closed !== undefined);
  t.match(refused.received, [{ message: 'fail', data: [{ code: 'CLUSTER_UNAVAILABLE' }] }]);
  const [dead, b] = [await FakeNode.start(t, 'dead'), await FakeNode.start(t, 'b')];
  const half = await setUp(t, [dead, b]);
  dead.kill();
  const page = await half.open();
  await waitFor('the connection', () => page.count('getUserData') === 1);
  t.equal(b.got('connection'), 1);
});

t.test('what is not a message of the protocol is ignored, and pages of foreign origins are refused', async (t) => {
  const a = await FakeNode.start(t, 'a');
  const { server, open } = await setUp(t, [a]);
  const page = await open();
  for (const text of ['', 'x', '{}', '[]', 'null', '{"message":5,"data":[]}', '{"message":"x","data":{}}'])
    page.socket.send(text);
  page.socket.send(Buffer.from([1, 2, 3]), { binary: true });
  page.send('publishStream', { mediaSessionId: 5, name: null } as never);
  await waitFor('the malformed request at the node', () => a.got('publishStream') === 1);
  page.send('ping', {});
  await waitFor('the answer', () => page.count('pong') === 1);
  const evil = new Page(`ws://127.0.0.1:${server.port}/`, { origin: 'https://evil.example' });
  await waitFor('the refusal', () => evil.closed !== undefined);
  t.equal(server.sessions, 1);
});
