import t, { type Test } from 'tap';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { Session } from '../../src/web/client/index.js';
import { startCluster } from '../helpers/cluster.ts';
import { waitFor } from '../helpers/wait.ts';

/** Rooms of real nodes on a real Redis. Faults without processes are in `test/unit/rooms/shared-rooms.test.ts`. */

t.setTimeout(150_000);

const cluster = await startCluster({ nodes: 2, managers: 1, settings: { rooms: true } });
t.teardown(() => cluster.stop());

/** A member by the browser library, connected to the object `so`. */
async function join(node: number, name: string) {
  const session = await Session.connect(cluster.nodes[node]!.wsUrl, { reconnect: false });
  const room = await session.room('live/room1', { name });
  const history: string[] = [];
  room.on('message', ({ text }: { text: string }) => history.push(text));
  const object = await room.object('so');
  object.on('change', ({ key, value }: { key: string; value: unknown }) => history.push(`${key}=${value}`));
  const names = () => room.members.map((member: { name: string }) => member.name).toSorted();
  return { session, room, object, history, names };
}

const [ann, ben] = await Promise.all([join(0, 'ann'), join(1, 'ben')]);
const seen = (text: string) =>
  waitFor(`${text} at both`, () => ann.history.at(-1) === text && ben.history.at(-1) === text, { every: 10 });

const seenBy = ({ names }: typeof ann, other: typeof ann) =>
  waitFor('all members at both', () => names().length === 2 && other.names().length === 2);

t.test('clients of two nodes are in one room and see one order', async (t) => {
  await waitFor('the members', () => ann.names().length === 1 && ben.names().length === 1);
  t.same([ann.names(), ben.names()], [['ben'], ['ann']]);
  // Red5's clients too.
  const socket = new WebSocket(`${cluster.nodes[1]!.httpUrl.replace('http', 'ws')}/live/room1`);
  t.teardown(() => socket.terminate());
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(JSON.stringify({ sharedObjectConnect: { name: 'so' } }));
  const sent: Promise<unknown>[] = [];
  for (let round = 0; round < 10; round++) {
    for (const [index, { object, room }] of [ann, ben].entries()) {
      sent.push(object.set('k', `${index}-${round}`), object.set(`k${index}`, round));
      if (round % 5 === 0) sent.push(room.send(`text ${index}-${round}`));
    }
    socket.send(JSON.stringify({ sharedObjectSetProperty: { name: 'so', key: 'red5', value: round } }));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all(sent);
  socket.send('end');
  await seen('end');
  t.equal(ann.history.length, 10 * 5 + 2 * 2 + 1);
  t.same(ben.history, ann.history);
  await t.rejects(join(1, 'ann'), { code: 'LOGIN_IN_USE' });
});

t.test('REST at a manager: the rooms of all nodes', async (t) => {
  const { http } = cluster.managers[0]!;
  const room = '/api/v1/rooms/live%2Froom1';
  const eve = await join(1, 'eve');
  await seenBy(eve, ann);
  const { body } = await http(room);
  const members = body.members.map(({ login, node }: { login?: string; node: string }) => `${login} ${node}`);
  t.same(members.toSorted(), ['ann node-0', 'ben node-1', 'eve node-1']);
  t.match((await http('/api/v1/rooms?prefix=live/')).body, {
    rooms: [{ scope: 'live/room1', members: 3 }],
    next: null,
  });
  const json = { 'content-type': 'application/json' };
  const sent = await http(`${room}/messages`, { method: 'POST', headers: json, body: '{"text":"from the manager"}' });
  t.equal(sent.status, 204);
  await seen('from the manager');
  const closed: string[] = [];
  eve.room.on('closed', (reason) => closed.push(reason?.code ?? ''));
  const { id } = body.members.find(({ login }: { login: string }) => login === 'eve');
  t.equal((await http(`${room}/members/${id}`, { method: 'DELETE' })).status, 204);
  await waitFor('her end', () => closed[0] === 'TERMINATED' && ann.names().length === 1);
  eve.session.close();
  const changed = await http(room, { method: 'PATCH', headers: json, body: '{"maxMembers":2}' });
  t.equal(changed.body.maxMembers, 2);
  await t.rejects(join(0, 'zoe'), { code: 'LIMIT_REACHED' });
});

/** A page with the Room API of the Web SDK. */
async function pageOf(t: Test, node: number, login: string) {
  const socket = new WebSocket(cluster.nodes[node]!.wsUrl);
  t.teardown(() => socket.terminate());
  let closed: [code: number, reason: string] | undefined;
  let joined = false;
  socket.on('message', (text) => (joined ||= String(text).includes('"STATE"')));
  socket.on('close', (code, reason) => (closed = [code, String(reason)]));
  await new Promise((resolve) => socket.once('open', resolve));
  const send = (message: string, content: object) => socket.send(JSON.stringify({ message, data: [content] }));
  send('connection', { appKey: 'roomApp', custom: { login } });
  const payload = { command: 'join', options: { name: 'long' } };
  // The login of a member that is gone is free a moment later.
  const join = (): boolean => {
    if (!joined) send('sendData', { operationId: 'join', payload });
    return joined;
  };
  await waitFor(`${login} to join`, join, { every: 250 });
  return { closed: () => closed };
}

t.test('logins that others took meanwhile: a node that returns closes the pages, and lives', async (t) => {
  const logins = ['統'.repeat(31), '"'.repeat(64), 'short'];
  const before = await Promise.all(logins.map((login) => pageOf(t, 0, login)));
  const cut = setInterval(() => cluster.links[0]!.cut(), 20);
  t.teardown(() => clearInterval(cut));
  await waitFor('the node to be away', () => ben.names().length === 0);
  const after = await Promise.all(logins.map((login) => pageOf(t, 1, login)));
  clearInterval(cut);
  await waitFor('the pages to be closed', () => before.every(({ closed }) => closed()));
  for (const { closed } of before) t.strictSame(closed(), [1000, 'LOGIN_IN_USE']);
  for (const { closed } of after) t.equal(closed(), undefined);
  t.equal((await cluster.nodes[0]!.http('/health/live')).status, 200);
  await waitFor('ann to be back', () => ben.names().includes('ann'));
  // Ann and ben are at the other node. Until this one has Redis again it rightly says CLUSTER_UNAVAILABLE.
  await waitFor('Redis', async () => (await cluster.nodes[0]!.http('/api/v1/rooms')).status === 200);
});

t.test('reasons of a removal that are too long for a WebSocket: REST answers, and the client is gone', async (t) => {
  const http = `${cluster.nodes[1]!.httpUrl}/api/v1/rooms/live%2Flong/members`;
  for (const reason of ['統'.repeat(42), '"'.repeat(124), 'x'.repeat(200)]) {
    const socket = new WebSocket(`${cluster.nodes[0]!.httpUrl.replace('http', 'ws')}/live/long`);
    t.teardown(() => socket.terminate());
    let end: string | undefined;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('close', (code, why) => (end = `closed with ${code} ${String(why)}`));
    const id = await waitFor('the member', async () => {
      if (end) throw new Error(end);
      const { body } = await cluster.nodes[1]!.http('/api/v1/rooms/live%2Flong');
      return body.members?.[0]?.id as string | undefined;
    });
    const removal = { method: 'DELETE', headers: { 'content-type': 'application/json' } };
    const { status } = await fetch(`${http}/${id}`, { ...removal, body: JSON.stringify({ reason }) });
    t.equal(status, 204, reason);
    await closed;
  }
});

t.test('Redis is restarted without its data: the room goes on', async (t) => {
  await cluster.redis.restart();
  await waitFor('the room', () =>
    ann.object.set('after', 1).then(
      () => true,
      () => false,
    ),
  );
  await ben.room.send('here');
  await seen('here');
  t.same([ann.names(), ben.names()], [['ben'], ['ann']]);
  const redis = new Redis(cluster.redis.url);
  t.teardown(() => redis.quit());
  for (const key of await redis.keys('*')) t.ok((await redis.pttl(key)) > 0, `${key} expires`);
});

t.test('a node is killed: its members have left, and persistent objects are at the other one', async (t) => {
  const kept = await ann.room.object('kept', { persistent: true });
  await kept.set('a', { deep: [1, 'zwei'] });
  process.kill(cluster.nodes[0]!.pid, 'SIGKILL');
  const startedAt = performance.now();
  await waitFor('her end', () => ben.names().length === 0);
  t.comment(`left after ${Math.round(performance.now() - startedAt)} ms`);
  ben.session.close();
  await cluster.restartNode(0);
  const back = await join(0, 'ann');
  t.equal(back.object.get('after'), undefined, 'the other object has ended with its members');
  t.strictSame((await back.room.object('kept')).get('a'), { deep: [1, 'zwei'] });
  back.session.close();
});
