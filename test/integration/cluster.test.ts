import t, { type Test } from 'tap';
import WebSocket from 'ws';
import { PersistentPublishers, startCluster } from '../helpers/cluster.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(120_000);

const [cluster, nginx, publishers] = await Promise.all([
  startCluster({ nodes: 2, settings: { publisher_resume_window_ms: 2000, rooms: true } }),
  startNginxRtmp({ record: false }),
  PersistentPublishers.start(),
]);
const [manager] = cluster.managers as [(typeof cluster.managers)[0]];
t.teardown(async () => {
  await publishers.stop();
  await cluster.stop();
  await nginx.stop();
});

/** Publishes until the end of the test. On a busy machine a node may be overloaded for some seconds, and then gets no streams. */
async function publish(t: Test, ...streams: string[]): Promise<void> {
  await waitFor('nodes that take streams', async () =>
    (await manager.http('/api/v1/nodes')).body.every((node: { overloaded: boolean }) => !node.overloaded),
  );
  for (const stream of streams) await publishers.publish(stream, [manager]);
  t.teardown(async () => {
    for (const stream of streams) await publishers.unpublish(stream);
  });
}

t.test('the manager lists the nodes, and runs without media', async (t) => {
  const { status, body } = await manager.http('/api/v1/nodes');
  t.equal(status, 200);
  t.match(body, [
    {
      id: 'node-0',
      state: 'in-service',
      url: cluster.nodes[0]!.httpUrl,
      wsUrl: cluster.nodes[0]!.wsUrl,
      publications: 0,
    },
    { id: 'node-1', state: 'in-service', capacity: Number },
  ]);
  t.match((await manager.http('/health')).body, { status: 'ok', role: 'manager', nodes: 2, redis: true });
  t.match((await manager.http('/metrics')).text, /gateway_cluster_nodes 2/);
  t.strictSame(manager.children(), []);
  t.match(await manager.http('/api/v1/nodes/none'), { status: 404, body: { exception: 'NODE_NOT_FOUND' } });
});

t.test('WHIP, REST and pushes with the address of the manager only', async (t) => {
  await publish(t, 'whip-a', 'whip-b', 'whip-c', 'whip-d');
  await waitFor('four streams', async () => (await manager.http('/api/v1/streams')).body.length === 4);
  const perNode = await Promise.all(
    cluster.nodes.map(async (node) => ((await node.http('/api/v1/streams')).body as unknown[]).length),
  );
  // Two each, or three and one where a heartbeat comes between two of them.
  t.ok(Math.min(...perNode) >= 1, `spread over both nodes: ${perNode.join(' and ')}`);
  // The stream is live before its publisher has read the answer.
  const location = await waitFor('the answer', async () => (await publishers.state('whip-a')).location);
  t.match(location, /^\/n\/node-[01]\/whip\/whip-a\/[\w-]+$/);

  const owner = (await cluster.ownerOf('whip-a'))!;
  const other = cluster.nodes[1 - owner]!;
  const direct = await other.http('/whip/whip-a', {
    method: 'POST',
    headers: { 'content-type': 'application/sdp' },
    body: 'v=0',
  });
  t.match(direct, { status: 409, body: { exception: 'STREAM_NAME_IN_USE' } });

  const push = await manager.startPush({ streamName: 'whip-a', rtmpUrl: nginx.rtmpUrl });
  await manager.startPush({ streamName: 'whip-b', rtmpUrl: nginx.rtmpUrl });
  await manager.reached(push.mediaSessionId, 'pushing');
  t.equal((await cluster.nodes[owner]!.rest('/push/find_all')).body.length >= 1, true);
  t.equal((await manager.rest('/push/find_all')).body.length, 2, 'merged');
  t.equal((await manager.rest('/push/find', { streamName: 'whip-b' })).body.length, 1);
  t.match(await manager.rest('/push/mute', { mediaSessionId: push.mediaSessionId }), { status: 200 });
  t.match(await manager.transponder(push.mediaSessionId), { muted: true });
  t.match(await manager.rest('/push/startup', { streamName: 'nobody', rtmpUrl: nginx.rtmpUrl }), {
    status: 404,
    body: { exception: 'STREAM_NOT_FOUND' },
  });
  t.match(await manager.rest('/push/startup', '{'), { status: 400 });
  t.match(await manager.rest('/push/terminate', { mediaSessionId: 'none' }), {
    status: 404,
    body: { exception: 'TRANSPONDER_NOT_FOUND' },
  });
  t.match(await manager.rest('/push/terminate', { mediaSessionId: push.mediaSessionId }), { status: 200 });
  await manager.ended(push.mediaSessionId);
  t.match(await manager.http('/api/v1/server/drain', { method: 'POST' }), {
    status: 501,
    body: { exception: 'NOT_IMPLEMENTED' },
  });

  t.match((await manager.http('/streammanager/api/4.0/event/live/whip-a?action=subscribe')).body, {
    name: 'whip-a',
    scope: 'live',
    serverAddress: '127.0.0.1',
  });
  t.match(await manager.http('/streammanager/api/4.0/event/live/new?action=broadcast&endpoints=2'), {
    status: 200,
    body: [{ serverAddress: '127.0.0.1' }, { serverAddress: '127.0.0.1' }],
  });
  t.match(await manager.http('/streammanager/api/4.0/event/live/none?action=subscribe'), {
    status: 404,
    body: { errorMessage: String, timestamp: Number },
  });
  t.match(await manager.http('/streammanager/api/4.0/event/live/none?action=eat'), { status: 400 });

  const { location: last } = await publishers.state('whip-d');
  t.match(await manager.http(last, { method: 'DELETE' }), { status: 200 });
  t.match(await manager.http(last), { status: 404 });
  t.match(await manager.http(last.replace(/node-\d/, 'elsewhere')), {
    status: 404,
    body: { exception: 'NODE_NOT_FOUND' },
  });
});

interface Message {
  readonly message: string;
  readonly data: readonly Record<string, unknown>[];
}

t.test('one WebSocket at the manager speaks with both nodes', async (t) => {
  await publish(t, 'ws-x', 'ws-y');
  await waitFor('the streams on different nodes', async () => {
    const owners = await Promise.all(['ws-x', 'ws-y'].map((name) => cluster.ownerOf(name)));
    return owners[0] !== undefined && owners[1] !== undefined;
  });
  const socket = new WebSocket(manager.wsUrl);
  t.teardown(() => socket.close());
  const received: Message[] = [];
  socket.on('message', (data) => void received.push(JSON.parse(String(data)) as Message));
  const find = (message: string, match: object = {}): Message | undefined =>
    received.find(
      (one) => one.message === message && Object.entries(match).every(([key, value]) => one.data[0]?.[key] === value),
    );
  const send = (message: string, data: object): void => socket.send(JSON.stringify({ message, data: [data] }));
  await new Promise((resolve) => socket.once('open', resolve));
  send('connection', { appKey: 'defaultApp', clientVersion: '2.0' });
  await waitFor('the connection', () => find('getUserData', { status: 'ESTABLISHED' }));
  t.equal(received.filter(({ message }) => message === 'getUserData').length, 1);

  for (const name of ['ws-x', 'ws-y']) {
    send('availableStream', { mediaSessionId: `a-${name}`, name });
    await waitFor(name, () => find('availableStream', { id: `a-${name}`, status: 'true' }));
  }
  send('availableStream', { mediaSessionId: 'a-none', name: 'none' });
  await waitFor('none', () => find('availableStream', { id: 'a-none', status: 'false' }));
  t.equal(received.filter(({ message }) => message === 'getUserData').length, 1, 'the page sees one connection');

  send('playStream', { mediaSessionId: 'p1', name: 'none', sdp: 'v=0' });
  await waitFor('the refusal', () => find('notifyStreamStatusEvent', { mediaSessionId: 'p1', status: 'FAILED' }));
  send('unPublishStream', { mediaSessionId: 'u1', name: 'ws-x' });
  await waitFor('the answer', () => find('notifyStreamStatusEvent', { mediaSessionId: 'u1', status: 'UNPUBLISHED' }));
  t.notOk(find('notifyStreamStatusEvent', { mediaSessionId: 'u1', status: 'FAILED' }));
  socket.send('not JSON');
  socket.send('{"message":"sendData","data":[{"operationId":1}]}');
  await waitFor('the receipt', () => find('DataStatusEvent', { status: 'FAILED' }));
});

t.test('WebSocket clients of rooms with the address of the manager only', async (t) => {
  await publish(t, 'room-cam');
  await waitFor('the stream', async () => (await cluster.ownerOf('room-cam')) !== undefined);
  const open = async (path: string) => {
    const socket = new WebSocket(manager.httpUrl.replace('http', 'ws') + path, 'chat');
    t.teardown(() => socket.close());
    const texts: string[] = [];
    socket.on('message', (data) => texts.push(String(data)));
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return { socket, texts };
  };
  const [ann, ben] = [
    await open('/streammanager/room1?host=node-0&app=live'),
    await open('/proxy?host=node-0&app=live&scope=room1'),
  ];
  // Members join after their WebSocket is open.
  await waitFor('the text at both', () => {
    ann.socket.send('hello');
    return ann.texts.length > 0 && ben.texts.length > 0;
  });
  t.strictSame([ann.texts[0], ben.texts[0]], ['hello', 'hello']);
  const publisher = await open('/live?stream=room-cam');
  publisher.socket.send(JSON.stringify({ send: { method: 'score', data: 1 } }));
  publisher.socket.send('done');
  await waitFor('the text', () => publisher.texts.length > 0);
  t.strictSame(publisher.texts, ['done'], 'its message to the players is accepted');
  await t.rejects(open('/live?stream=none'), /404/);
  await t.rejects(open('/streammanager?host=192.0.2.7&app=live'), /404/);
  t.match((await manager.http('/metrics')).text, /gateway_cluster_room_clients 3/);
});

t.test('saved destinations are the same on all nodes, and a stream that is tied to a group goes live', async (t) => {
  const send = (method: string, path: string, body?: object) =>
    manager.http(`/api/v1/${path}`, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  t.match(await send('POST', 'destinations', { name: 'Nginx', rtmpUrl: `${nginx.rtmpUrl}?key=secret` }), {
    status: 201,
  });
  t.match(await send('POST', 'destinations', { name: 'Nginx', id: 'nginx', rtmpUrl: nginx.rtmpUrl }), { status: 409 });
  for (const node of cluster.nodes) t.match((await node.http('/api/v1/destinations')).body, [{ id: 'nginx' }]);
  t.match(await send('PATCH', 'destinations/nginx', { name: 'Our nginx' }), {
    status: 200,
    body: { name: 'Our nginx' },
  });
  const group = { name: 'Tied', destinationIds: ['nginx'], onPublish: ['tied-*'] };
  t.match(await send('POST', 'destination-groups', group), { status: 201, body: { id: 'tied' } });
  await publish(t, 'tied-1');
  const push = await waitFor('the push', async () => {
    const { body } = await manager.rest('/push/find', { streamName: 'tied-1' });
    return (body as { status: string }[]).find(({ status }) => status === 'pushing');
  });
  t.match(push, { destinationId: 'nginx', groupId: 'tied' });
  t.notMatch(JSON.stringify(push), 'secret');
  t.match(await manager.rest('/push/terminate', { streamName: 'tied-1', groupId: 'tied' }), { status: 200 });
  t.match(await send('DELETE', 'destination-groups/tied'), { status: 204 });
  t.match(await send('DELETE', 'destinations/nginx'), { status: 204 });
  t.match(await send('GET', 'destinations'), { status: 200, body: [] });
});

t.test('a node that drains gets nothing new, and its process may end', async (t) => {
  // Several: a node without streams would end at once.
  const before = ['before-a', 'before-b', 'before-c', 'before-d'];
  await publish(t, ...before);
  await waitFor('streams on each node', async () => {
    const owners = await Promise.all(before.map((name) => cluster.ownerOf(name)));
    return !owners.includes(undefined) && new Set(owners).size === 2;
  });
  t.match(await manager.http('/api/v1/nodes/node-1/drain', { method: 'POST' }), { status: 202 });
  // It may have ended already.
  await waitFor('draining', async () => {
    const { status, body } = await manager.http('/api/v1/nodes/node-1');
    return status === 404 || body.state === 'draining';
  });
  await publish(t, 'drain-a', 'drain-b', 'drain-c');
  await waitFor('three streams', async () => {
    const { body } = await cluster.nodes[0]!.http('/api/v1/streams');
    return (body as { name: string }[]).filter(({ name }) => name.startsWith('drain-')).length === 3;
  });
  for (const name of before) await publishers.unpublish(name);
  t.equal(await cluster.nodes[1]!.exited, 0, 'a drained node ends');
  await waitFor('one node', async () => (await manager.http('/api/v1/nodes')).body.length === 1);
});
