import { EventEmitter, once } from 'node:events';
import { SignJWT } from 'jose';
import { ClientSessions } from '../../../src/sessions/client-sessions.ts';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { credentialOf, ownerOf } from '../../../src/signaling/auth-token.ts';
import { StreamRegistry } from '../../../src/streams/stream-registry.ts';
import { mediaWorkerEnv } from '../../helpers/media-worker.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { openWcsServer } = await import('../../../src/signaling/wcs-server.ts');
const { createPublishing } = await import('../../helpers/publishing.ts');

const SECRET = 'a-secret-of-at-least-32-bytes-for-tests';
const sign = (claims: object): Promise<string> =>
  new SignJWT({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 60, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(Buffer.from(SECRET));

/** A guarded WebSocket without media: everything that is tested here is refused before media is needed. */
async function listen(t: Test, settings: Record<string, string> = { rest_api_key: 'k3y', jwt_secret: SECRET }) {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  registry.publish('cam1', Object.assign(new EventEmitter(), { id: 'p', close: () => undefined }));
  const parts = createPublishing({ pool: {} as never, registry, pushes: {} as never });
  const authorizer = createAuthorizer(SettingsSchema.parse(settings), silentLogger);
  const more = { host: '127.0.0.1', port: 0, logger: silentLogger, version: 'test' };
  const takeSnapshot = async (): Promise<Buffer> => Buffer.from('frame');
  const server = await openWcsServer({
    ...parts,
    sessions: new ClientSessions(),
    registry,
    authorizer,
    takeSnapshot,
    ...more,
  });
  t.teardown(() => server.close());
  return async (connection: object, query = '') => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/${query}`);
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- whatever the server sent
    const received: { message: string; data: any[] }[] = [];
    const changed = new EventEmitter();
    socket.on('message', (text) => {
      received.push(JSON.parse(String(text)) as never);
      changed.emit('message');
    });
    socket.on('close', () => changed.emit('message'));
    await once(socket, 'open');
    const send = (message: string, data: object): void => socket.send(JSON.stringify({ message, data: [data] }));
    const heard = async (message: string) => {
      for (;;) {
        const found = received.findIndex((one) => one.message === message);
        if (found >= 0) return received.splice(found, 1)[0]!.data[0];
        if (socket.readyState === WebSocket.CLOSED) throw new Error(`closed without ${message}`);
        await once(changed, 'message');
      }
    };
    send('connection', { appKey: 'defaultApp', ...connection });
    return { socket, send, heard };
  };
}

t.test('a connection without a valid credential is refused with the reason', async (t) => {
  const connect = await listen(t);
  for (const [connection, query, info, code = 'UNAUTHORIZED'] of [
    [{}, '', /key or a token is required/],
    [{ authToken: 'wrong' }, '', /not valid/],
    [{ custom: { token: 'wrong' } }, '', /not valid/],
    [{}, '?token=wrong', /not valid/],
    [{ authToken: 'k3y' }, '?token=wrong', /not valid/],
    [{ authToken: 'guest-x' }, '', /key or a token is required/],
    [{ authToken: await sign({ exp: 1 }) }, '', /has expired/, 'TOKEN_EXPIRED'],
  ] as const) {
    const client = await connect(connection, query);
    t.match(await client.heard('fail'), { apiMethod: 'connection', status: 'FAILED', info, code });
    if (client.socket.readyState !== WebSocket.CLOSED) await once(client.socket, 'close');
    await t.rejects(client.heard('getUserData'), /closed without/);
  }
  for (const [connection, query] of [
    [{ authToken: 'k3y' }, ''],
    [{ custom: { token: 'k3y' } }, ''],
    [{}, '?token=k3y'],
    [{ authToken: 'only-for-resuming', custom: { token: 'k3y' } }, ''],
    [{ authToken: 'only-for-resuming' }, '?token=k3y'],
    [{ authToken: await sign({}) }, ''],
  ] as const) {
    const client = await connect(connection, query);
    t.match(await client.heard('getUserData'), { status: 'ESTABLISHED' });
  }
});

t.test('every message needs its right', async (t) => {
  const connect = await listen(t);
  const request = { mediaSessionId: 'id', name: 'cam1', sdp: 'v=0' };
  const failed = (published: boolean, info: RegExp) => ({ mediaSessionId: 'id', published, status: 'FAILED', info });
  const forbidden = { code: 'FORBIDDEN' };
  for (const [claims, missing] of [
    [{ act: ['read', 'push', 'control', 'admin'], streams: ['*'] }, /they allow only/],
    [{ act: ['publish', 'play', 'push'], streams: ['cam2', 'cam'] }, /the stream "cam1"/],
  ] as const) {
    const { send, heard } = await connect({ authToken: await sign(claims) });
    const says = (action: string): RegExp => new RegExp(`action "${action}": .*${missing.source}`);
    send('publishStream', request);
    t.match(await heard('notifyStreamStatusEvent'), { ...failed(true, says('publish')), ...forbidden });
    send('playStream', request);
    t.match(await heard('notifyStreamStatusEvent'), { ...failed(false, says('play')), ...forbidden });
    send('snapshot', request);
    t.match(await heard('notifyStreamEvent'), { type: 'snapshotFailed', payload: { info: says('play') } });
    t.match(await heard('notifyStreamStatusEvent'), failed(false, says('play')));
    send('availableStream', request);
    t.match(await heard('availableStream'), { id: 'id', status: 'false', info: says('play') });
  }
});

t.test('a token of the stream counts instead of the one of the connection', async (t) => {
  const connect = await listen(t);
  const none = await connect({ authToken: await sign({ act: [] }) });
  const custom = { token: await sign({ act: ['play'], streams: ['nowhere'] }) };
  none.send('playStream', { mediaSessionId: 'id', name: 'nowhere', sdp: 'v=0', custom });
  t.match(
    await none.heard('notifyStreamStatusEvent'),
    { info: 'Stream not found', code: 'STREAM_NOT_FOUND' },
    'allowed, but not published',
  );
  const all = await connect({ authToken: 'k3y' });
  all.send('publishStream', { mediaSessionId: 'id', name: 'free', sdp: 'v=0', custom });
  t.match(await all.heard('notifyStreamStatusEvent'), { status: 'FAILED', info: /action "publish"/ });
  all.send('publishStream', { mediaSessionId: 'id', name: 'free', sdp: 'v=0', custom: { token: 'wrong' } });
  t.match(await all.heard('notifyStreamStatusEvent'), { status: 'FAILED', info: /not valid/ });
});

t.test('the credential of a connection and the owner of its streams', async (t) => {
  t.equal(credentialOf({ authToken: 'a', custom: { token: 'c' } }, 'u'), 'c');
  t.equal(credentialOf({ authToken: 'a', custom: 'text' }, 'u'), 'u');
  t.equal(credentialOf({ authToken: 'a', custom: null }, ''), 'a');
  for (const authToken of [undefined, '', 7, 'guest-id']) t.equal(credentialOf({ authToken }, undefined), undefined);

  const owner = ownerOf('alice', 'token', undefined);
  t.equal(ownerOf('alice', 'token', 'key'), owner, 'the authToken identifies the owner, whatever the credential');
  t.not(ownerOf('bob', 'token', 'key'), owner, 'another principal with the same authToken');
  t.not(ownerOf('alice', 'other', 'key'), owner);
  t.equal(ownerOf('alice', undefined, 'token'), owner);
  t.equal(ownerOf('alice', 'guest-id', 'token'), owner);
  t.equal(ownerOf('anonymous', 'guest-id', undefined), undefined);
});
