import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { createAuthorizer } from '../../../../src/access/create-authorizer.ts';
import { ManagerApp } from '../../../../src/api/manager/manager-app.ts';
import { NodeClient } from '../../../../src/api/manager/node-client.ts';
import { OPERATIONS } from '../../../../src/api/openapi/operations.ts';
import type { NodeRecord } from '../../../../src/cluster/cluster-store.ts';
import { NodeRegistry } from '../../../../src/cluster/node-registry.ts';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { FORWARDED_CLIENT_HEADER, ForwardedClients } from '../../../../src/net/forwarded-client.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { Metrics } from '../../../../src/observe/metrics.ts';
import { ModelStore, RedisModel } from '../../../helpers/cluster-redis-model.ts';
import { nodeRecord } from '../../../helpers/node-record.ts';

const STATE_KEY = Buffer.alloc(32, 3).toString('base64');
const clients = new ForwardedClients(STATE_KEY);

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}
interface FakeNode {
  readonly seen: Seen[];
  readonly server: Server;
  readonly port: number;
}

type Answer = readonly [status: number, body?: unknown, headers?: Record<string, string>];

/** A node that answers with what the function returns; nothing: it hangs. */
async function fakeNode(answer: (seen: Seen) => Answer | undefined): Promise<FakeNode> {
  const seen: Seen[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    void text(request).then((body) => {
      const one = { method: request.method!, url: request.url!, body, headers: request.headers };
      seen.push(one);
      const answered = answer(one);
      if (!answered) return;
      const [status, json, headers = {}] = answered;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(json === undefined ? '' : typeof json === 'string' ? json : JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, server, port: (server.address() as AddressInfo).port };
}

const record = (id: string, port: number, more: Partial<NodeRecord> = {}): NodeRecord =>
  nodeRecord(id, { instance: id, url: `http://127.0.0.1:${port}`, wsUrl: `ws://127.0.0.1:${port}`, ...more });

async function manager(nodes: readonly NodeRecord[], settings: Record<string, string> = {}) {
  const redis = new RedisModel(() => Date.now());
  const store = new ModelStore(redis);
  for (const node of nodes) await store.beat(node, 60_000);
  const parsed = SettingsSchema.parse({ role: 'manager', ...settings });
  const registry = new NodeRegistry({ store, managerId: 'm', logger: silentLogger });
  await registry.poll();
  const client = new NodeClient(registry, clients);
  const app = await ManagerApp.create({
    settings: parsed,
    registry,
    client,
    authorizer: createAuthorizer(parsed, silentLogger),
    metrics: new Metrics(),
    logger: silentLogger,
    isClosing: () => false,
    routes: [],
  });
  t.teardown(async () => {
    await app.close();
    client.close();
    registry.close();
  });
  return { http: app.http, store, registry };
}

t.test('a list has the items of all nodes, and names those that do not answer in time', async (t) => {
  const push = (id: string) => ({ mediaSessionId: id });
  const a = await fakeNode(() => [200, [push('1'), push('2')], { 'access-control-expose-headers': 'Location' }]);
  const b = await fakeNode(() => [404, { exception: 'TRANSPONDER_NOT_FOUND' }]);
  const hanging = await fakeNode(() => undefined);
  const whole = await manager([record('a', a.port), record('b', b.port)]);
  const list = await whole.http.inject('/rest-api/push/find_all');
  t.strictSame(list.json(), [push('1'), push('2')]);
  t.notOk(list.headers['x-partial']);

  const part = await manager([record('a', a.port), record('hangs', hanging.port)]);
  const partial = await part.http.inject('/api/v1/transponders');
  t.equal(partial.statusCode, 200);
  t.strictSame(partial.json(), [
    { ...push('1'), node: 'a' },
    { ...push('2'), node: 'a' },
  ]);
  t.match(partial.headers, {
    'x-partial': 'true',
    'x-missing-nodes': 'hangs',
    'access-control-expose-headers': 'Location, X-Partial, X-Missing-Nodes',
  });
  const unknown = await manager([record('b', b.port), record('hangs', hanging.port)]);
  const unsure = await unknown.http.inject('/rest-api/push/find_all');
  t.match([unsure.statusCode, unsure.json()], [503, { exception: 'NODE_LOST' }], 'it may be on the other node');

  const none = await manager([record('b', b.port)]);
  t.match(await none.http.inject('/rest-api/push/find_all'), { statusCode: 404 });
  const nobody = await manager([record('hangs', hanging.port)]);
  const lost = await nobody.http.inject('/api/v1/streams');
  t.match([lost.statusCode, lost.json()], [503, { exception: 'NODE_LOST' }]);
});

t.test("Red5's envelopes are merged", async (t) => {
  const envelope = (data: unknown) => ({ status: 'success', code: 200, data, timestamp: 1 });
  const answers: Record<string, [unknown, unknown]> = {
    '/api/v1/applications': [
      ['live', 'a'],
      ['live', 'b'],
    ],
    '/api/v1/applications/live/statistics': [
      { name: 'live', active_streams: 1 },
      { name: 'live', active_streams: 2 },
    ],
  };
  const [a, b] = await Promise.all([0, 1].map((index) => fakeNode(({ url }) => [200, envelope(answers[url]![index])])));
  const { http } = await manager([record('a', a!.port), record('b', b!.port)]);
  t.strictSame((await http.inject('/api/v1/applications')).json<{ data: string[] }>().data.sort(), ['a', 'b', 'live']);
  t.match((await http.inject('/api/v1/applications/live/statistics')).json(), {
    status: 'success',
    data: { name: 'live', active_streams: 3 },
  });
});

t.test('a transponder is controlled at its node; one that may be on a lost node is not "not found"', async (t) => {
  const a = await fakeNode(() => [404, { exception: 'TRANSPONDER_NOT_FOUND' }]);
  const b = await fakeNode(({ body }) =>
    body.includes('known') ? [200] : [404, { exception: 'TRANSPONDER_NOT_FOUND' }],
  );
  const hanging = await fakeNode(() => undefined);
  const mute = (mediaSessionId: string) => ({
    method: 'POST' as const,
    url: '/rest-api/push/mute',
    headers: { 'content-type': 'application/json' },
    payload: JSON.stringify({ mediaSessionId }),
  });
  const { http } = await manager([record('a', a.port), record('b', b.port)]);
  t.equal((await http.inject(mute('known'))).statusCode, 200);
  t.equal((await http.inject(mute('known'))).statusCode, 200);
  t.equal(a.seen.length, 1, 'the second time only its node is asked');
  t.equal((await http.inject(mute('other'))).statusCode, 404);
  const part = await manager([record('a', a.port), record('hangs', hanging.port)]);
  const lost = await part.http.inject(mute('known'));
  t.match([lost.statusCode, lost.json()], [503, { exception: 'NODE_LOST', message: /hangs/ }]);
});

t.test(
  'a question about a stream goes to its owner, with the body, the credentials and the address of the client',
  async (t) => {
    const a = await fakeNode(() => [200, { at: 'a' }]);
    const b = await fakeNode(() => [200, { at: 'b' }]);
    const { http, store } = await manager([record('a', a.port, { publications: 9 }), record('b', b.port)]);
    await store.claim('my stream', { id: 'a', instance: 'a' }, { ttlMs: 5000 });
    const payload = '{"streamName": "my stream",  "rtmpUrl": "rtmp://x/y"}';
    const answer = await http.inject({
      method: 'POST',
      url: '/rest-api/push/startup?x=1',
      headers: {
        'content-type': 'application/json; charset=utf-8',
        authorization: 'Bearer key',
        host: 'gateway.example',
        [FORWARDED_CLIENT_HEADER]: 'invented',
      },
      payload,
      remoteAddress: '203.0.113.7',
    });
    t.strictSame(answer.json(), { at: 'a' });
    const [seen] = a.seen as [Seen];
    t.match(seen, { method: 'POST', url: '/rest-api/push/startup?x=1', body: payload });
    t.match(seen.headers, { authorization: 'Bearer key', host: 'gateway.example' });
    t.match(seen.headers['content-type'], /^application\/json/);
    t.equal(clients.verify(seen.headers[FORWARDED_CLIENT_HEADER]), '203.0.113.7');

    for (const body of ['{', '[]', 'null', '{"streamName": 5}', `{"streamName": "${'x'.repeat(300)}"}`, '']) {
      const other = await http.inject({
        method: 'POST',
        url: '/rest-api/push/startup',
        headers: { 'content-type': 'application/json' },
        payload: body,
      });
      t.equal(other.statusCode, 200, `any node says what is wrong with ${body.slice(0, 30)}`);
    }
    t.equal(b.seen.length, 6);
    t.equal(b.seen[0]!.body, '{', 'unchanged');
  },
);

const offer = (url: string) => ({
  method: 'POST' as const,
  url,
  headers: { 'content-type': 'application/sdp' },
  payload: 'v=0',
});

t.test('WHIP: the session carries its node, and its requests follow it', async (t) => {
  const created: Answer = [
    201,
    'v=0',
    { location: '/whip/a%20b/id-1', etag: '"e"', 'content-type': 'application/sdp' },
  ];
  const a = await fakeNode(({ method }) => (method === 'POST' ? created : [204]));
  const { http } = await manager([record('node a', a.port)]);
  const answer = await http.inject(offer('/whip/a%20b?rtmpUrl=rtmp://x/y'));
  t.equal(answer.statusCode, 201);
  t.match(answer.headers, { location: '/n/node%20a/whip/a%20b/id-1', etag: '"e"', 'session-host': '127.0.0.1' });
  t.match(a.seen[0], {
    url: '/whip/a%20b?rtmpUrl=rtmp://x/y',
    body: 'v=0',
    headers: { 'content-type': 'application/sdp' },
  });
  const removed = await http.inject({
    method: 'PATCH',
    url: String(answer.headers.location),
    headers: { 'if-match': '*', 'content-type': 'application/trickle-ice-sdpfrag' },
    payload: 'a=ice-ufrag:x',
  });
  t.equal(removed.statusCode, 204);
  t.match(a.seen[1], { method: 'PATCH', url: '/whip/a%20b/id-1', body: 'a=ice-ufrag:x', headers: { 'if-match': '*' } });
  t.match((await http.inject({ method: 'DELETE', url: '/n/evil.example/whip/a/1' })).json(), {
    exception: 'NODE_NOT_FOUND',
  });
  t.equal((await http.inject('/n/node%20a/api/v1/streams')).statusCode, 404, 'only sessions have this path');
  t.equal((await http.inject(offer('/as/v1/proxy/whip/live/cam?token=x'))).statusCode, 201);
  t.equal(a.seen[2]!.url, '/live/whip/endpoint/cam?token=x');
});

t.test('a path prefix precedes the path of the session, and does not reach the node', async (t) => {
  const a = await fakeNode(() => [201, 'v=0', { location: '/whip/cam/1' }]);
  const { http } = await manager([record('a', a.port)], { trust_proxy: '127.0.0.1', path_prefix: '/own' });
  const post = async (headers: Record<string, string>): Promise<unknown> => {
    const { url, method, payload, headers: own } = offer('/whip/cam');
    return (await http.inject({ url, method, payload, headers: { ...own, ...headers } })).headers.location;
  };
  t.equal(await post({ 'x-forwarded-prefix': '/gw/' }), '/gw/n/a/whip/cam/1');
  t.equal(await post({}), '/own/n/a/whip/cam/1');
  t.ok(a.seen.every(({ headers }) => headers['x-forwarded-prefix'] === undefined));
  t.match((await http.inject('/openapi.json')).json(), { servers: [{ url: '/own' }] });
});

t.test('WHIP: a node at which nothing listens is passed over, for new streams and for those it owned', async (t) => {
  const a = await fakeNode(() => [201, 'v=0', { location: '/whip/cam/1' }]);
  const dead = await fakeNode(() => [500]);
  await new Promise((resolve) => dead.server.close(resolve));
  const nodes = [record('dead', dead.port), record('a', a.port, { publications: 5 })];
  const { http, store } = await manager(nodes);
  await store.claim('owned', { id: 'dead', instance: 'dead' }, { ttlMs: 5000 });
  for (const stream of ['owned', 'new', 'owned']) {
    const answer = await http.inject(offer(`/whip/${stream}`));
    t.match([answer.statusCode, answer.headers.location], [201, '/n/a/whip/cam/1'], stream);
  }
  const alone = await manager([record('dead', dead.port)]);
  const lost = await alone.http.inject(offer('/whip/new'));
  t.match([lost.statusCode, lost.headers['retry-after'], lost.json()], [503, '1', { exception: 'NODE_LOST' }]);
  const empty = await manager([]);
  t.match((await empty.http.inject(offer('/whip/new'))).json(), { exception: 'CLUSTER_UNAVAILABLE' });
  t.equal((await empty.http.inject('/health/ready')).statusCode, 503);
});

t.test('offers that are refused do not fill a node', async (t) => {
  const a = await fakeNode(() => [400, { exception: 'INVALID_SDP' }]);
  const { http } = await manager([record('a', a.port, { capacity: 3 })]);
  for (let count = 0; count < 10; count++) t.equal((await http.inject(offer('/whip/cam'))).statusCode, 400);
});

t.test('a request that waits for a node ends when the node is gone, and a new stream goes elsewhere', async (t) => {
  const hanging = await fakeNode(() => undefined);
  const a = await fakeNode(() => [201, 'v=0', { location: '/whip/cam/1' }]);
  const { http, store, registry } = await manager([
    record('hangs', hanging.port),
    record('a', a.port, { publications: 9 }),
  ]);
  const answer = http.inject(offer('/whip/cam'));
  while (hanging.seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await store.leave({ id: 'hangs', instance: 'hangs' });
  await registry.poll();
  t.equal((await answer).headers.location, '/n/a/whip/cam/1');
});

t.test("the manager's own routes need its keys, and are documented", async (t) => {
  const a = await fakeNode(() => [202, { status: 'draining' }]);
  const { http } = await manager([record('a', a.port, { region: 'eu' })], {
    rest_api_key: 'all-'.repeat(5),
    rest_api_read_key: 'read-'.repeat(5),
  });
  const as = (key: string, url: string, method: 'GET' | 'POST' = 'GET') =>
    http.inject({ method, url, headers: { authorization: `Bearer ${key.repeat(5)}` } });
  t.equal((await http.inject('/api/v1/nodes')).statusCode, 401);
  t.match((await as('read-', '/api/v1/nodes')).json(), [{ id: 'a', region: 'eu' }]);
  t.notMatch((await as('read-', '/api/v1/nodes')).body, /instance/);
  t.equal((await as('read-', '/api/v1/nodes/a/drain', 'POST')).statusCode, 403);
  t.equal((await as('all-', '/api/v1/nodes/a/drain', 'POST')).statusCode, 202);
  t.equal((await as('all-', '/api/v1/nodes/a/drain?move=false', 'POST')).statusCode, 202);
  t.match(a.seen, [
    { method: 'POST', url: '/api/v1/server/drain' },
    { method: 'POST', url: '/api/v1/server/drain?move=false' },
  ]);
  const event = '/streammanager/api/4.0/event/live/cam?action=broadcast';
  t.match((await http.inject(event)).json(), { errorMessage: String, timestamp: Number });
  t.equal((await http.inject(event)).statusCode, 401);
  t.match((await http.inject(`${event}&token=${'all-'.repeat(5)}`)).json(), {
    name: 'cam',
    scope: 'live',
    region: 'eu',
  });
  t.match(await http.inject(`${event}&region=us&strict=true&token=${'all-'.repeat(5)}`), { statusCode: 404 });
  for (const { method, path, tag } of OPERATIONS)
    if (tag === 'Cluster')
      t.ok(http.hasRoute({ method: method.toUpperCase() as 'GET', url: path.replace(/\{(\w+)\}/g, ':$1') }), path);
});

/** Operations that concern one gateway: managers answer 501, except that HLS has a port of its own. */
const NODE_ONLY: ReadonlySet<string> = new Set([
  '/rest-api/stat',
  '/api/v1/server/statistics',
  '/api/v1/server/drain',
  '/api/v1/recordings',
  '/api/v1/recordings/{id}',
  '/api/v1/recordings/{id}/file',
  '/api/v1/recordings/{id}/poster.jpg',
  '/client/records/{name}',
  '/hls/{stream}/{file}',
  '/hls/{stream}/{session}/{file}',
  '/hls/{stream}/{session}/{quality}/{file}',
  ...OPERATIONS.filter(({ tag }) => tag === 'Calls').map(({ path }) => path),
]);

t.test('each operation of the OpenAPI document is routed, or refused with a reason', async (t) => {
  const node = await fakeNode(() => [200, []]);
  const { http } = await manager([record('a', node.port)]);
  /** Routes are compared without the names of their parameters. */
  const known = new Set(
    OPERATIONS.filter(({ method, path }) =>
      [path, `/n/{node}${path}`].some((one) => {
        const names = [(name: string) => name, () => 'stream', () => 'id'];
        return names.some((rename) =>
          http.hasRoute({
            method: method.toUpperCase() as 'GET',
            url: one.replace(/\{(\w+)\}/g, (_, name: string) => `:${name === 'name' ? rename(name) : name}`),
          }),
        );
      }),
    ),
  );
  for (const operation of OPERATIONS) {
    const { method, path } = operation;
    if (!NODE_ONLY.has(path)) {
      t.ok(known.has(operation), `${method} ${path}`);
      continue;
    }
    const answer = await http.inject({
      method: method.toUpperCase() as 'GET',
      url: path.replace(/\{\w+\}/g, 'x'),
    });
    t.match(answer, { statusCode: 501 }, `${method} ${path}`);
  }
  t.equal(node.seen.length, 0);
});

t.test('a request target with a host of its own reaches a node of the cluster only', async (t) => {
  const node = await fakeNode(() => [200, []]);
  const elsewhere = await fakeNode(() => [200, []]);
  const { http } = await manager([record('a', node.port)]);
  await http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = http.server.address() as AddressInfo;
  const host = `127.0.0.1:${elsewhere.port}`;
  for (const [method, target] of [
    ['POST', `http://${host}/whip/cam`],
    ['POST', `//${host}/whip/endpoint/cam`],
    ['GET', `http://${host}/api/v1/streams`],
    ['POST', `http://${host}/rest-api/push/mute`],
    ['DELETE', `http://${host}/n/a/whip/cam/1`],
  ] as const) {
    const answered = await new Promise<number>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, method, path: target }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      sent.on('error', reject);
      sent.end();
    });
    t.ok(answered < 500, `${method} ${target.replace(host, 'HOST')}: ${answered}`);
  }
  t.equal(elsewhere.seen.length, 0);
  t.ok(node.seen.length > 0);
});
