import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { RoomProxy, type RoomProxyOptions } from '../../../../src/api/manager/room-proxy.ts';
import { NodeRegistry } from '../../../../src/cluster/node-registry.ts';
import { ClientAddresses } from '../../../../src/net/client-addresses.ts';
import { FORWARDED_CLIENT_HEADER, ForwardedClients } from '../../../../src/net/forwarded-client.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { ModelStore, RedisModel } from '../../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../../helpers/node-record.ts';
import { waitFor } from '../../../helpers/wait.ts';

t.setTimeout(60_000);

const clients = new ForwardedClients(Buffer.alloc(32, 5).toString('base64'));

/** A node that repeats what it is told, with its id, and refuses `/refused`. */
class FakeNode {
  readonly requests: IncomingMessage[] = [];
  readonly sockets: WebSocket[] = [];
  readonly closed: [code: number, reason: string][] = [];
  readonly http = createServer();

  static async start(t: Test, id: string): Promise<FakeNode> {
    const node = new FakeNode();
    const server = new WebSocketServer({ noServer: true, handleProtocols: (offered) => offered.has('chat') && 'chat' });
    node.http.on('upgrade', (request: IncomingMessage, socket, head) => {
      node.requests.push(request);
      if (request.url!.startsWith('/refused'))
        return socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{"code":"NO_WAY"}');
      server.handleUpgrade(request, socket, head, (webSocket) => {
        node.sockets.push(webSocket);
        webSocket.on('message', (data, binary) => webSocket.send(binary ? data : `${id}: ${String(data)}`, { binary }));
        webSocket.on('close', (code, reason) => node.closed.push([code, String(reason)]));
      });
    });
    node.http.listen(0, '127.0.0.1');
    await once(node.http, 'listening');
    t.teardown(() => node.kill());
    return node;
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port;
  }

  kill(): void {
    for (const socket of this.sockets) socket.terminate();
    this.http.close();
  }
}

async function setUp(t: Test, ids: readonly string[], options: Partial<RoomProxyOptions> = {}) {
  const store = new ModelStore(new RedisModel(() => Date.now()));
  const nodes: Record<string, FakeNode> = {};
  for (const id of ids) {
    nodes[id] = await FakeNode.start(t, id);
    await store.beat(nodeRecord(id, { instance: id, url: `http://127.0.0.1:${nodes[id].port}` }), 60_000);
  }
  const registry = new NodeRegistry({ store, managerId: 'm', logger: silentLogger, probe: async () => false });
  await registry.poll();
  const proxy = new RoomProxy({
    registry,
    clients,
    addresses: new ClientAddresses([]),
    region: '',
    allowOrigin: (origin) => origin !== 'https://evil.example',
    queuedBytes: 0,
    logger: silentLogger,
    ...options,
  });
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.attach(server);
  t.teardown(async () => {
    await proxy.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { store, registry, proxy, nodes, port, url: (path: string) => `ws://127.0.0.1:${port}${path}` };
}

interface Client {
  readonly socket: WebSocket;
  readonly texts: string[];
  closed: [code: number, reason: string] | undefined;
}

async function open(
  t: Test,
  url: string,
  protocols: string[] = [],
  headers: Record<string, string> = {},
): Promise<Client> {
  const socket = new WebSocket(url, protocols, { headers });
  t.teardown(() => socket.terminate());
  const client: Client = { socket, texts: [], closed: undefined };
  socket.on('message', (data) => client.texts.push(String(data)));
  socket.on('close', (code, reason) => (client.closed = [code, String(reason)]));
  await once(socket, 'open');
  return client;
}

/** The answer to a client that is refused. */
async function refusal(
  t: Test,
  url: string,
  headers: Record<string, string> = {},
): Promise<[status: number, body: object]> {
  const socket = new WebSocket(url, { headers });
  t.teardown(() => socket.terminate());
  socket.on('error', () => undefined);
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return [response.statusCode!, JSON.parse(body) as object];
}

t.test('a client speaks with a node, which knows its address and its URL', async (t) => {
  const { nodes, url, proxy } = await setUp(t, ['a']);
  const client = await open(t, url('/live/room1?token=secret&x=1'), ['other', 'chat'], {
    origin: 'https://page.example',
  });
  t.equal(client.socket.protocol, 'chat');
  t.equal(proxy.size, 1);
  const [request] = nodes['a']!.requests;
  t.equal(request!.url, '/live/room1?token=secret&x=1');
  t.equal(clients.verify(request!.headers[FORWARDED_CLIENT_HEADER]), '127.0.0.1');
  t.match(request!.headers, { origin: 'https://page.example', host: new URL(url('/')).host });
  client.socket.send('hello');
  client.socket.send(Buffer.from('bytes'));
  await waitFor('the answers', () => client.texts.length === 2);
  t.strictSame(client.texts, ['a: hello', 'bytes']);
  const plain = await open(t, url('/live'));
  t.equal(plain.socket.protocol, '');
});

t.test('the node of the stream, the node that the client names, or any node', async (t) => {
  const { nodes, store, url } = await setUp(t, ['a', 'b']);
  await store.claim('cam', { id: 'b', instance: 'b' }, { ttlMs: 5000 });
  const paths = () => nodes['b']!.requests.map((request) => request.url);
  await open(t, url('/live?stream=cam&token=x'));
  await open(t, url('/streammanager/room1?host=b&app=live&token=x'));
  await open(t, url(`/proxy?app=live/stage&host=127.0.0.1:${nodes['b']!.port}`));
  t.strictSame(paths(), ['/live?stream=cam&token=x', '/live/room1?token=x', '/live/stage']);
  await open(t, url('/streammanager?host=127.0.0.1&app=live'));
  t.equal(nodes['a']!.requests.length + nodes['b']!.requests.length, 4, 'the address of the Stream Manager');
  for (let client = 0; client < 20; client++) await open(t, url('/live'));
  t.ok(nodes['a']!.requests.length > 2 && nodes['b']!.requests.length > 5, 'clients are spread');
});

t.test('refusals', async (t) => {
  const { store, registry, url, nodes } = await setUp(t, ['a']);
  const refused = async (path: string, headers?: Record<string, string>) => {
    const [status, { code, message }] = (await refusal(t, url(path), headers)) as [
      number,
      { code: string; message?: string },
    ];
    t.ok(message === undefined || message.length > 20, 'in words');
    return [status, code];
  };
  t.strictSame(await refused('/live', { origin: 'https://evil.example' }), [403, 'FORBIDDEN']);
  t.strictSame(await refused('/live?stream=none'), [404, 'STREAM_NOT_FOUND']);
  t.strictSame(await refused(`/live?stream=${'x'.repeat(300)}`), [400, 'INVALID_REQUEST']);
  t.strictSame(await refused('/streammanager?host=192.0.2.7&app=live'), [404, 'NODE_NOT_FOUND']);
  t.strictSame(await refused(`/streammanager?host=127.0.0.1:${nodes['a']!.port + 1}&app=live`), [
    404,
    'NODE_NOT_FOUND',
  ]);
  t.strictSame(await refused('/streammanager?app=live'), [400, 'INVALID_REQUEST']);
  t.strictSame(await refused('/streammanager?host=a'), [400, 'INVALID_REQUEST']);
  t.strictSame(await refused('/proxy?host=&app=live'), [400, 'INVALID_REQUEST']);
  t.equal(nodes['a']!.requests.length, 0);
  t.strictSame(await refused('/refused'), [403, 'NO_WAY'], 'by the node');
  nodes['a']!.kill();
  t.strictSame(await refused('/live'), [503, 'NODE_LOST']);
  await store.beat(nodeRecord('a', { instance: 'a', state: 'draining' }), 60_000);
  await registry.poll();
  t.strictSame(await refused('/live'), [503, 'CLUSTER_UNAVAILABLE']);
});

t.test('request targets with a host of their own do not leave the cluster', async (t) => {
  const { nodes, port } = await setUp(t, ['a']);
  const elsewhere = await FakeNode.start(t, 'elsewhere');
  const host = `127.0.0.1:${elsewhere.port}`;
  const targets = [`//${host}/x`, `http://${host}/x`, `ws://${host}`, `/\\${host}/x`, '/x#fragment'];
  for (const target of targets) {
    const socket = connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    socket.write(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    t.match(String(answer), /^HTTP\/1.1 101/, target);
  }
  t.equal(nodes['a']!.requests.length, targets.length);
  t.equal(elsewhere.requests.length, 0);
});

t.test('each side learns how the other one has closed', async (t) => {
  const { nodes, registry, store, url } = await setUp(t, ['a']);
  const { sockets, closed } = nodes['a']!;
  const first = await open(t, url('/live'));
  first.socket.close(4001, 'bye');
  await waitFor('the node', () => closed.length === 1);
  t.strictSame(closed.pop(), [4001, 'bye']);
  const second = await open(t, url('/live'));
  sockets.at(-1)!.close(1008, 'RATE_LIMITED');
  await waitFor('the client', () => second.closed);
  t.strictSame(second.closed, [1008, 'RATE_LIMITED']);
  const third = await open(t, url('/live'));
  third.socket.close();
  await waitFor('no code', () => closed.some(([code]) => code === 1005));
  const fourth = await open(t, url('/live'));
  fourth.socket.terminate();
  await waitFor('the loss of the client', () => closed.some(([, reason]) => reason === 'client lost'));
  const fifth = await open(t, url('/live'));
  sockets.at(-1)!.terminate();
  await waitFor('the loss of the node', () => fifth.closed);
  t.strictSame(fifth.closed, [1012, 'NODE_LOST']);
  const sixth = await open(t, url('/live'));
  await store.leave({ id: 'a', instance: 'a' });
  await registry.poll();
  await waitFor('the loss of a node that hangs', () => sixth.closed);
  t.strictSame(sixth.closed, [1012, 'NODE_LOST']);
});

t.test('a client that does not read is disconnected', async (t) => {
  const { nodes, proxy, url } = await setUp(t, ['a']);
  const slow = await open(t, url('/live'));
  slow.socket.pause();
  const [link] = nodes['a']!.sockets;
  const flood = setInterval(() => link!.send('x'.repeat(200_000), () => undefined), 1);
  await waitFor('the end', () => proxy.size === 0).finally(() => clearInterval(flood));
  await waitFor('the end at the node', () => nodes['a']!.closed.length === 1);
});

t.test('a client that does not answer pings is disconnected', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
  const { proxy, url } = await setUp(t, ['a'], { pingIntervalMs: 200 });
  const silent = new WebSocket(url('/live'), { autoPong: false });
  t.teardown(() => silent.terminate());
  await once(silent, 'open');
  const answering = await open(t, url('/live'));
  const pinged = Promise.all([once(silent, 'ping'), once(answering.socket, 'ping')]);
  mock.timers.tick(200);
  await pinged;
  // What is sent after the pong arrives after it.
  answering.socket.send('here');
  await waitFor('the answer', () => answering.texts.length === 1);
  mock.timers.tick(200);
  await once(silent, 'close');
  await waitFor('one client', () => proxy.size === 1);
  t.equal(answering.closed, undefined);
});

t.test('a node that cannot be reached is skipped', async (t) => {
  const { nodes, url } = await setUp(t, ['dead', 'b']);
  nodes['dead']!.kill();
  for (let client = 0; client < 5; client++) await open(t, url('/live'));
  t.equal(nodes['b']!.requests.length, 5);
});

t.test('a malformed request leaves nothing behind', async (t) => {
  const { nodes, port, proxy } = await setUp(t, ['a']);
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.write('GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  t.match(String(answer), /^HTTP\/1.1 4\d\d/);
  await waitFor('the end of the link', () => nodes['a']!.closed.length === 1);
  t.equal(proxy.size, 0);
});

t.test('when the manager closes, clients and nodes are told', async (t) => {
  const { nodes, proxy, url } = await setUp(t, ['a']);
  const client = await open(t, url('/live'));
  await proxy.close();
  await waitFor('both', () => client.closed && nodes['a']!.closed.length === 1);
  t.strictSame([client.closed, nodes['a']!.closed], [[1001, 'going away'], [[1001, 'going away']]]);
  t.match(await refusal(t, url('/live')), [503, { code: 'SHUTTING_DOWN' }]);
});
