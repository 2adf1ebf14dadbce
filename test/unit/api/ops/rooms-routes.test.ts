import { SignJWT } from 'jose';
import t from 'tap';
import type { RoomRight } from '../../../../src/access/authorizer.ts';
import { RoomPageSchema, RoomSchema } from '../../../../src/api/openapi/room-answers.ts';
import type { RoomEvent } from '../../../../src/rooms/room-client.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';
import { localRooms } from '../../../helpers/local-rooms.ts';

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const PRINCIPAL = { id: 'p', actions: new Set(['join'] as const) };

async function setUp(settings: Record<string, string> = {}) {
  const rooms = localRooms({ membersPerScope: 5, valueBytes: 100 });
  const { app, http } = await createHttpApp(settings, { rooms });
  t.teardown(() => app.close());
  const events: RoomEvent[] = [];
  const join = (scope: string, login?: string) =>
    rooms.join({ scope, login, door: 'wcs', principal: PRINCIPAL, receive: (event) => events.push(event) });
  const call = async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object, token = '') => {
    const answer = await http.inject({
      ...{ method, url: `/api/v1/rooms${url}` },
      ...(payload && { payload }),
      ...(token && { headers: { authorization: `Bearer ${token}` } }),
    });
    return { status: answer.statusCode, json: answer.body === '' ? undefined : answer.json() };
  };
  return { rooms, events, join, call };
}

const token = (claims: object): Promise<string> =>
  new SignJWT({ sub: 'x', ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));

t.test('rooms are listed in pages', async (t) => {
  const { join, call } = await setUp();
  for (const scope of ['live/b', 'live/a', 'live/a', 'other']) await join(scope);
  const list = async (query: string) => {
    const { json } = await call('GET', query);
    const { rooms, next } = RoomPageSchema.strict().parse(json);
    return [rooms.map(({ scope, members }) => `${scope} ${members}`), next];
  };
  t.strictSame(await list(''), [['live/a 2', 'live/b 1', 'other 1'], null]);
  t.strictSame(await list('?prefix=live/'), [['live/a 2', 'live/b 1'], null]);
  t.strictSame(await list('?limit=1'), [['live/a 2'], 'live/a']);
  t.strictSame(await list('?limit=1&after=live/b'), [['other 1'], null]);
  t.strictSame(await list('?prefix=none'), [[], null]);
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'prefix=a&prefix=b', 'x=1'])
    t.equal((await call('GET', `?${query}`)).status, 400, query);
});

t.test('a room with the longest name is moderated, and none is created with a longer one', async (t) => {
  const { join, call } = await setUp();
  const name = '\u4e16'.repeat(512);
  await join(name, 'Ann');
  const path = `/${encodeURIComponent(name)}`;
  const { status, json } = await call('GET', path);
  t.match([status, json], [200, { scope: name }]);
  t.equal((await call('POST', `${path}/messages`, { text: 'hi' })).status, 204);
  const longer = await call('POST', `${path}a/objects/so/acquire`);
  t.match([longer.status, JSON.stringify(longer.json)], [400, /INVALID_REQUEST.*512|512.*INVALID_REQUEST/]);
  t.equal((await call('POST', '/%2E%2E%2Fa/objects/so/acquire')).status, 400);
  t.equal((await call('POST', `/${'a'.repeat(15_000)}/messages`, { text: 'hi' })).status, 404, 'of an earlier version');
});

t.test('a room with its members and objects', async (t) => {
  const { join, call, events } = await setUp();
  const ann = await join('live/room 1', 'Ann');
  await ann.connectObject('so', false);
  await ann.change('so', { type: 'set', key: '__proto__', value: { x: [1] } });
  await ann.publish('cam1');
  const { json } = await call('GET', '/live%2Froom%201');
  t.match(RoomSchema.strict().parse(json), {
    scope: 'live/room 1',
    maxMembers: 5,
    members: [{ id: ann.id, login: 'Ann', door: 'wcs', streams: ['cam1'], objects: ['so'] }],
    objects: [{ name: 'so', persistent: false, acquired: 0, members: 1 }],
  });
  t.match((await call('GET', '/live%2Fnone')).json, { status: 404, exception: 'ROOM_NOT_FOUND' });
  t.match((await call('GET', `/${Array(9).fill('a').join('%2F')}`)).json, { status: 400, message: /8 segments/ });

  t.equal((await call('POST', '/live%2Froom%201/messages', { text: 'Hello', from: 'Operator' })).status, 204);
  t.equal((await call('POST', '/live%2Froom%201/messages', { text: 'Bye' })).status, 204);
  t.match(
    events.filter(({ type }) => type === 'text'),
    [
      { text: 'Hello', from: 'Operator' },
      { text: 'Bye', from: undefined },
    ],
  );
  for (const body of [{}, { text: '' }, { text: 'x'.repeat(101) }, { text: 'a', from: '' }, { text: 'a', from: '\n' }])
    t.equal((await call('POST', '/live%2Froom%201/messages', body)).status, 400, JSON.stringify(body));
  t.equal((await call('POST', '/none/messages', { text: 'a' })).status, 404);
});

t.test('attributes and the number of members', async (t) => {
  const { join, call } = await setUp();
  await join('live');
  t.match((await call('PATCH', '/live', { attributes: { topic: 'A', deep: { x: null } }, maxMembers: 1 })).json, {
    attributes: { topic: 'A', deep: { x: null } },
    maxMembers: 1,
  });
  await t.rejects(join('live'), { code: 'LIMIT_REACHED' });
  t.strictSame((await call('PATCH', '/live', { attributes: { topic: null } })).json.attributes, { deep: { x: null } });
  t.equal((await call('PATCH', '/live', { maxMembers: 100 })).json.maxMembers, 5, 'at most that of the settings');
  for (const body of [{ maxMembers: 0 }, { maxMembers: 'x' }, { attributes: [] }, { attributes: { '': 1 } }])
    t.match((await call('PATCH', '/live', body)).json, { status: 400, message: /must be/ }, JSON.stringify(body));
  t.equal((await call('PATCH', '/none', {})).status, 404);
});

t.test('a member is removed with a reason', async (t) => {
  const { join, call, events } = await setUp();
  const [ann, bob] = [await join('live', 'Ann'), await join('live', 'Bob')];
  t.equal((await call('DELETE', `/live/members/${ann.id}`, { reason: 'Spam' })).status, 204);
  t.equal((await call('DELETE', `/live/members/${bob.id}`)).status, 204);
  t.match(
    events.filter(({ type }) => type === 'closed'),
    [
      { reason: { code: 'TERMINATED', message: 'Spam' } },
      { reason: { code: 'TERMINATED', message: 'You were removed from the room.' } },
    ],
  );
  await join('live');
  t.match((await call('DELETE', '/live/members/none')).json, { status: 404, exception: 'MEMBER_NOT_FOUND' });
  t.match((await call('DELETE', '/none/members/x')).json, { status: 404, exception: 'ROOM_NOT_FOUND' });
});

t.test('objects are acquired, released and deleted', async (t) => {
  const { join, call } = await setUp();
  const objects = async () => (await call('GET', '/live')).json?.objects;
  t.equal((await call('POST', '/live/objects/a%2Fb/acquire')).status, 204);
  t.equal((await call('POST', '/live/objects/a%2Fb/acquire')).status, 204);
  t.match(await objects(), [{ name: 'a/b', acquired: 2, members: 0 }], 'without members');
  const member = await join('live');
  await member.connectObject('a/b', false);
  await member.change('a/b', { type: 'set', key: 'k', value: 1 });
  member.leave();
  t.match(await objects(), [{ properties: { k: 1 } }], 'it has survived');
  t.equal((await call('POST', '/live/objects/a%2Fb/release')).status, 204);
  t.equal((await call('POST', '/live/objects/a%2Fb/release')).status, 204);
  t.match((await call('POST', '/live/objects/a%2Fb/release')).json, { exception: 'ROOM_NOT_FOUND' });
  await join('live');
  t.match((await call('POST', '/live/objects/x/release')).json, { status: 404, exception: 'OBJECT_NOT_FOUND' });
  await call('POST', '/live/objects/x/acquire');
  t.equal((await call('DELETE', '/live/objects/x')).status, 204);
  t.strictSame(await objects(), []);
  t.match((await call('DELETE', '/live/objects/x')).json, { status: 404, exception: 'OBJECT_NOT_FOUND' });
});

t.test('tokens see and change the rooms that they name', async (t) => {
  const { join, call } = await setUp({ jwt_secret: SECRET });
  for (const scope of ['class-1', 'class-2', 'lobby', 'z']) await join(scope);
  const rooms: Record<string, RoomRight[]> = { 'class-*': ['read'], z: ['send'] };
  const teacher = await token({ act: ['read', 'control'], rooms });
  const list = async (query: string, key: string) => {
    const { rooms: found, next } = (await call('GET', query, undefined, key)).json;
    return [found.map(({ scope }: { scope: string }) => scope), next];
  };
  t.strictSame(await list('', teacher), [['class-1', 'class-2', 'z'], null]);
  t.strictSame(await list('?limit=2', teacher), [['class-1', 'class-2'], 'class-2'], 'names no other room');
  t.strictSame(await list('?limit=2&after=class-2', teacher), [['z'], null]);
  t.equal((await call('GET', '/class-1', undefined, teacher)).status, 200);
  t.equal((await call('POST', '/class-1/messages', { text: 'a' }, teacher)).status, 204);
  t.match((await call('GET', '/lobby', undefined, teacher)).json, { status: 403, message: /the room "lobby"/ });
  t.equal((await call('POST', '/lobby/messages', { text: 'a' }, teacher)).status, 403);
  t.equal((await call('POST', '/lobby/objects/x/acquire', undefined, teacher)).status, 403);
  const ofStreams = await token({ act: ['read', 'control'], streams: ['*'] });
  t.strictSame(await list('', ofStreams), [[], null], 'a token without rooms');
  t.equal((await call('GET', '/lobby', undefined, ofStreams)).status, 403);
});

t.test('without rooms=true the answer says so', async (t) => {
  const { app, http } = await createHttpApp();
  t.teardown(() => app.close());
  for (const url of ['/api/v1/rooms', '/api/v1/rooms/live'])
    t.match((await http.inject(url)).json(), {
      status: 501,
      exception: 'NOT_IMPLEMENTED',
      message: 'Rooms are off. Set rooms=true.',
    });
});
